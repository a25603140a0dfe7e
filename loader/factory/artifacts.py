"""Where a step of a DagRun leaves what the next one reads, on a local folder or a bucket.

    BASE/dag_id/run_id/task_id/[map_index/]NAME

In: a BASE, what a step has to leave. Out: what an earlier one left, and what lies there at all.
A file is there whole or not at all, on both. Holds a JSON file at a time; of a stream a megabyte,
and of one that goes to a bucket a chunk of 8 MiB.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, cast
from urllib.parse import quote, unquote
from uuid import uuid4

from loader.errors import (
    ArtifactsError,
    ArtifactsUnreachable,
    SourceError,
    SourceForbidden,
    UsageError,
)
from loader.factory import shapes
from loader.factory.shapes import Shape
from loader.net import failures
from loader.net.uri import mask_uri, split_scheme
from loader.source.gcs import BUCKET, foreign_errors

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer
    from google.cloud import storage

_log = logging.getLogger(__name__)

_SAFE = ":+=@,"  # beside letters, digits and -._~; run ids hold the first two
# Of files in a local folder. Who sets the folder's setgid bit shares it with its group: that of a
# CKAN, say, which gives out the rejected rows.
_OWNER_ONLY, _GROUP_TOO = 0o600, 0o640
_NO_FOLDER = "it is no folder of a run"
_READ_BYTES = 1024 * 1024
_CHUNK_BYTES = 8 * 1024 * 1024  # of one request to a bucket; Google asks for multiples of 256 KiB
_TIMEOUT_S = (10.0, 60.0)  # until connected, and between two reads
_RETRY_S = 60.0  # how long Google's client goes on trying; after it, Airflow tries the task again


@dataclass(frozen=True)
class File:
    """One file below BASE.

    Attributes:
        parts: dag_id, run_id, and what follows them, the file's name last.
        bytes: Its size.
        written: When.
    """

    parts: tuple[str, ...]
    bytes: int
    written: datetime


@dataclass(frozen=True)
class RunFolder:
    """All that the steps of one DagRun left.

    Attributes:
        newest: When the newest file was written.
        bytes: Of all files.
        files: How many there are.
    """

    dag_id: str
    run_id: str
    newest: datetime
    bytes: int
    files: int


# Of a dag_id and a run_id, as far as they are known, and of what is wrong.
Unreadable = Callable[[tuple[str, ...], ArtifactsError], None]


def _log_unreadable(_: tuple[str, ...], error: ArtifactsError) -> None:
    _log.warning("left out: %s", error)


class Artifacts:
    """All places below one BASE.

    Args:
        base: An absolute path, a file:// URL, or gs://BUCKET[/PREFIX].

    Attributes:
        uri: Of the BASE.

    Raises:
        UsageError: It is something else.
    """

    def __init__(self, base: str) -> None:
        self._store = _store(base)
        self.uri = self._store.uri

    def __repr__(self) -> str:
        """Return the BASE."""
        return f"Artifacts({self._store.uri!r})"

    def place(self, *parts: str) -> Place:
        """Return where a task keeps its files.

        Args:
            parts: dag_id, run_id, task_id, and the map index of a mapped task. What no name of a
                file may hold is percent-encoded.

        Raises:
            UsageError: One of them is empty, or less than a task is named.
        """
        if len(parts) < 3:
            raise UsageError(f"{'/'.join(parts)!r} names no task of a run")
        return Place(self._store, parts)

    def files(
        self, dag_ids: Sequence[str] | None = None, unreadable: Unreadable | None = None
    ) -> Iterator[File]:
        """Give what lies in the folders of runs, those of a run one after the other.

        Args:
            dag_ids: Of these DAGs only: BASE may be shared with other things.
            unreadable: Hears of each place of these DAGs that cannot be looked into, with its
                dag_id and run_id as far as they go; by default it is logged.

        Raises:
            ArtifactsError: BASE cannot be listed.
        """
        hears = unreadable or _log_unreadable

        def tell(key: str, error: ArtifactsError) -> None:
            hears(tuple(map(_decoded, key.split("/")[:2])), error)

        below = [""] if dag_ids is None else [f"{_encode(dag)}/" for dag in dict.fromkeys(dag_ids)]
        for prefix in below:
            for key, size, written in self._store.files(prefix, tell):
                segments = key.split("/")
                if prefix and len(segments) == 2 and segments[1]:  # tools mark folders so
                    tell(key, ArtifactsError(f"{self.uri}/{key}: {_NO_FOLDER}"))
                # Another segment was not made by `place`, and could not be found again by it.
                if len(segments) > 2 and all(map(_is_encoded, segments[:2])):
                    yield File(tuple(map(_decoded, segments)), size, written)

    def runs(
        self, dag_ids: Sequence[str] | None = None, unreadable: Unreadable | None = None
    ) -> Iterator[RunFolder]:
        """Give the runs that left files; as `files`. One that is partly unreadable is left out."""
        partly: set[tuple[str, ...]] = set()

        def hears(parts: tuple[str, ...], error: ArtifactsError) -> None:
            partly.add(parts)
            (unreadable or _log_unreadable)(parts, error)

        files = self.files(dag_ids, hears)
        for (dag_id, run_id), some in groupby(files, lambda file: file.parts[:2]):
            found = list(some)  # to the last: by then all of its folders were looked into
            if (dag_id, run_id) in partly:
                continue
            newest = max(file.written for file in found)
            total = sum(file.bytes for file in found)
            yield RunFolder(dag_id, run_id, newest, total, len(found))

    def delete(self, run: RunFolder) -> None:
        """Delete all that a run left; what somebody else deletes meanwhile is no error.

        Raises:
            ArtifactsError: Some of it stays.
        """
        self._store.remove(f"{_encode(run.dag_id)}/{_encode(run.run_id)}")


class Place:
    """Where one task, or one of its mapped parts, keeps its files.

    Attributes:
        uri: As it is shown to people.
    """

    def __init__(self, store: _Store, parts: Sequence[str]) -> None:
        self._store = store
        self._task_id = parts[2]
        self._key = "/".join(map(_encode, parts))
        self.uri = f"{store.uri}/{self._key}"

    def __repr__(self) -> str:
        """Return the URI."""
        return f"Place({self.uri!r})"

    def write(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Write a value as JSON.

        Raises:
            ArtifactsError: It cannot be written; then nothing was.
        """
        text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
        with self.opened(name, "wb") as stream:
            # Half a surrogate pair, of a file that is quoted, has no UTF-8. \udc80 is its JSON.
            stream.write(text.encode("utf-8", "backslashreplace"))

    def read(self, name: str) -> Any:  # noqa: ANN401
        """Return the value of a JSON file.

        Raises:
            ArtifactsError: It is not there, cannot be read, or is no JSON.
        """
        return self.read_as(name, shapes.ANYTHING)

    def exists(self, name: str) -> bool:
        """Return whether there is such a file.

        Raises:
            ArtifactsError: The store does not tell.
        """
        return self._store.exists(self._file(name))

    def read_as(self, name: str, shape: Shape, hint: str | None = None) -> Any:  # noqa: ANN401
        """Return the value of a JSON file that is what a step leaves.

        Args:
            name: The file.
            shape: What it has to be like.
            hint: What to do if it is something else; by default, to clear the task.

        Raises:
            ArtifactsError: As ``read``; or it is of another shape.
        """
        with self.opened(name) as stream:
            content = stream.read()
        try:
            value = shapes.parse(content)
            shapes.check(value, shape)
        except shapes.Misshapen as error:
            raise self.damaged(name, str(error), hint) from None
        return value

    def written(self, name: str) -> datetime | None:
        """Return when a file was written, or None if it is not there.

        Raises:
            ArtifactsError: The store does not tell.
        """
        return self._store.written(self._file(name))

    def clear(self) -> None:
        """Remove all that is here: a step that runs again begins with nothing of before.

        Raises:
            ArtifactsError: Some of it stays.
        """
        self._store.remove(self._key)

    def put(self, name: str, path: Path) -> str:
        """Copy a local file, as it is.

        Returns:
            The URI of the copy.

        Raises:
            ArtifactsError: It cannot be read, or not be written here.
        """
        with _local_seam(str(path)):
            source = path.open("rb")
        with source, self._writing(name, packed=False) as stream:
            shutil.copyfileobj(source, stream, _READ_BYTES)
        return f"{self.uri}/{_encode(name)}"

    def opened(
        self, name: str, mode: Literal["rb", "wb"] = "rb"
    ) -> AbstractContextManager[IO[bytes]]:
        """Open a file for the time of a block; one whose name ends in .gz is packed.

        What is written is there when the block has ended well, and not before: what is wrapped
        around the stream has to be flushed by then.

        Raises:
            ArtifactsError: It is not there, or cannot be read or written; also out of the
                stream's methods.
        """
        packed = name.endswith(".gz")
        return self._writing(name, packed) if mode == "wb" else self._reading(name, packed)

    @contextmanager
    def _reading(self, name: str, packed: bool) -> Iterator[IO[bytes]]:
        raw = self._store.open(self._file(name))
        if raw is None:
            raise ArtifactsError(
                f"{self.uri}/{_encode(name)} is not there", hint=self._hint("leaves it there")
            )
        try:
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw
            yield io.BufferedReader(_Reader(stream, partial(self._read_seam, name)), _READ_BYTES)
        finally:
            raw.close()

    @contextmanager
    def _writing(self, name: str, packed: bool) -> Iterator[IO[bytes]]:
        file = self._file(name)
        with self._store.writing(file) as raw:
            writer = _Writer(raw, partial(self._store.seam, file), packed=packed)
            yield cast("IO[bytes]", writer)
            writer.finish()

    @contextmanager
    def _read_seam(self, name: str) -> Iterator[None]:
        with self._store.seam(self._file(name)):
            try:
                yield
            except (EOFError, zlib.error, gzip.BadGzipFile):
                raise self.damaged(name, "it cannot be unpacked") from None

    def _file(self, name: str) -> str:
        return f"{self._key}/{_encode(name)}"

    def damaged(self, name: str, reason: str, hint: str | None = None) -> ArtifactsError:
        """Return the error for a file that is not what a step leaves."""
        uri = f"{self.uri}/{_encode(name)}"
        hint = hint or self._hint("writes it anew")
        return ArtifactsError(f"{uri} is damaged: {reason}", hint=hint)

    def _hint(self, what: str) -> str:
        return f"clear the task {self._task_id}: it {what}"


class _Reader(io.RawIOBase):
    """A file that is read, whose errors are ours."""

    def __init__(self, raw: IO[bytes], seam: Callable[[], AbstractContextManager[None]]) -> None:
        self._raw = raw
        self._seam = seam

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        with self._seam():
            data = self._raw.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Writer(io.RawIOBase):
    """A file that is written, whose errors are ours; closing it does not end the file."""

    def __init__(
        self,
        raw: IO[bytes],
        seam: Callable[[], AbstractContextManager[None]],
        *,
        packed: bool,
    ) -> None:
        self._raw = raw
        self._seam = seam
        # Not a GzipFile: it ends what it packs when it is collected, after an error too.
        self._packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16) if packed else None

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        if self.closed:
            raise ValueError("write to closed file")
        view = memoryview(data)
        with self._seam():
            self._raw.write(self._packer.compress(view) if self._packer else view)
        return view.nbytes

    def finish(self) -> None:
        """Write what the packer holds; no more can be written."""
        self.close()
        if self._packer:
            with self._seam():
                self._raw.write(self._packer.flush())


# Where the files are. A key is what follows BASE, percent-encoded.


# Of a key that cannot be looked into.
Told = Callable[[str, ArtifactsError], None]


class _Store(Protocol):
    uri: str  # of BASE, as it is shown

    def open(self, key: str) -> IO[bytes] | None: ...
    def writing(self, key: str) -> AbstractContextManager[IO[bytes]]: ...
    def exists(self, key: str) -> bool: ...
    def written(self, key: str) -> datetime | None: ...
    def files(self, prefix: str, unreadable: Told) -> Iterator[tuple[str, int, datetime]]: ...
    def remove(self, key: str) -> None: ...
    def seam(self, key: str) -> AbstractContextManager[None]: ...


class _Folder:
    """A local folder, made with the first file that is written into it."""

    def __init__(self, path: Path) -> None:
        self.uri = str(path)
        self._path = path

    def open(self, key: str) -> IO[bytes] | None:
        with self.seam(key):
            try:
                return (self._path / key).open("rb")
            except FileNotFoundError:
                return None

    @contextmanager
    def writing(self, key: str) -> Iterator[IO[bytes]]:
        path = self._path / key
        partial_path = path.with_name(f".{path.name}.{uuid4().hex}.part")
        with self.seam(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            # They hold rows, which are nobody else's business until CKAN shows them.
            shared = path.parent.stat().st_mode & stat.S_ISGID
            mode = _GROUP_TOO if shared else _OWNER_ONLY
            opened = os.open(partial_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            stream = os.fdopen(opened, "wb")
        try:
            yield stream
            with self.seam(key):
                stream.close()
                partial_path.replace(path)
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell
                stream.close()
            with suppress(OSError):
                partial_path.unlink()
            raise

    def exists(self, key: str) -> bool:
        with self.seam(key):
            return (self._path / key).is_file()

    def written(self, key: str) -> datetime | None:
        path = self._path / key
        with self.seam(key):
            try:
                return _written(path.stat()) if path.is_file() else None
            except FileNotFoundError:  # deleted meanwhile
                return None

    def files(self, prefix: str, unreadable: Told) -> Iterator[tuple[str, int, datetime]]:
        with self.seam(""), suppress(FileNotFoundError):  # BASE itself has to let us in
            os.stat(os.path.join(self._path, "."))  # noqa: PTH116, PTH118  (pathlib drops the dot)
        waiting = [self._path / prefix]
        while waiting:
            folder = waiting.pop()
            found: list[tuple[str, int, datetime]] = []
            folders: list[Path] = []
            with self._told(folder, unreadable, is_base=folder == self._path):
                for entry in _entries(folder):
                    with self._told(Path(entry.path), unreadable):
                        self._sort(entry, found, folders)
            yield from found
            waiting += reversed(folders)

    def _sort(
        self,
        entry: os.DirEntry[str],
        found: list[tuple[str, int, datetime]],
        folders: list[Path],
    ) -> None:
        key = self._key(Path(entry.path))
        is_of_run = key.count("/") == 1  # where the folder of a run should be
        if is_of_run and not _is_utf8(entry.name):
            raise ArtifactsError(f"{self.uri}/{key}: its name is no UTF-8")
        if entry.is_dir(follow_symlinks=False):
            folders.append(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            with suppress(FileNotFoundError):  # deleted meanwhile
                status = entry.stat()
                found.append((key, status.st_size, _written(status)))
        elif is_of_run:  # a link, for one, is not followed: nor would it be when it is deleted
            raise ArtifactsError(f"{self.uri}/{key}: {_NO_FOLDER}")

    @contextmanager
    def _told(self, path: Path, unreadable: Told, *, is_base: bool = False) -> Iterator[None]:
        """Tell of a place that cannot be looked into, and go on with the others; not of BASE."""
        key = "" if is_base else self._key(path)
        try:
            with self.seam(key):
                yield
        except ArtifactsError as error:
            if is_base:
                raise
            unreadable(key, error)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._path).as_posix()

    def remove(self, key: str) -> None:
        with self.seam(key):
            _remove(self._path / key)

    def seam(self, key: str) -> AbstractContextManager[None]:
        return _local_seam(f"{self.uri}/{key}")


def _written(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, timezone.utc)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        if folder.is_symlink():
            raise
        return []


def _remove(path: Path) -> None:
    """Remove a folder or a file; a link, and not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        for entry in _entries(path):
            _remove(Path(entry.path))
        with suppress(FileNotFoundError):
            path.rmdir()
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _local_seam(shown: str) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise ArtifactsError(
            f"{shown}: permission denied", hint="Airflow's workers have to read and write there"
        ) from None
    except OSError as error:
        raise ArtifactsError(f"{shown}: {error.strerror or type(error).__name__}") from error


class _Bucket:
    """A bucket of Google Cloud Storage, or what begins with a prefix in it."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.uri = f"gs://{bucket}/{prefix}" if prefix else f"gs://{bucket}"
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @cached_property
    def _foreign(self) -> tuple[type[Exception], ...]:
        try:
            return foreign_errors()
        except ImportError:
            raise ArtifactsError(
                f"{self.uri} needs Google's client", hint="pip install 'aircan[gcs]'"
            ) from None

    @cached_property
    def _client(self) -> storage.Client:
        from google.cloud import storage  # noqa: PLC0415

        if os.environ.get("STORAGE_EMULATOR_HOST"):
            return storage.Client.create_anonymous_client()
        with self.seam(""):
            # Files need no project, but the client will not start without one.
            return storage.Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT", "none"))

    @cached_property
    def _timeouts(self) -> dict[str, Any]:
        from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415

        return {"timeout": _TIMEOUT_S, "retry": DEFAULT_RETRY.with_timeout(_RETRY_S)}

    def _smart_open(self, key: str, mode: str, **parameters: object) -> Any:  # noqa: ANN401
        import smart_open  # noqa: PLC0415

        client = {"client": self._client, "min_part_size": _CHUNK_BYTES}
        return smart_open.open(
            f"{self.uri}/{key}",
            mode,
            compression="disable",
            transport_params=client | parameters,
        )

    def open(self, key: str) -> IO[bytes] | None:
        with self.seam(key):
            from google.api_core.exceptions import NotFound  # noqa: PLC0415

            chunks = {"chunk_size": _CHUNK_BYTES, "raw_download": True, **self._timeouts}
            try:
                stream: IO[bytes] = self._smart_open(
                    key, "rb", get_blob_kwargs=self._timeouts, blob_open_kwargs=chunks
                )
            except NotFound:
                return None
        return stream

    @contextmanager
    def writing(self, key: str) -> Iterator[IO[bytes]]:
        with self.seam(key):
            upload = self._smart_open(key, "wb", blob_open_kwargs=self._timeouts)
        try:
            yield upload
            with self.seam(key):
                upload.close()
        except BaseException:
            self._abandon(upload, key)
            raise

    def _abandon(self, upload: Any, key: str) -> None:  # noqa: ANN401
        try:
            upload.terminate()
        except self._foreign as error:  # the first error is the one to tell
            _log.warning(
                "%s/%s: Google was not told to forget what was sent of it (%s)",
                self.uri,
                key,
                type(error).__name__,
            )
        finally:
            # When it is collected it would be closed, and what was written so far be the file.
            upload._buffer.close()  # noqa: SLF001

    def exists(self, key: str) -> bool:
        with self.seam(key):
            return bool(self._blob(self._prefix + key).exists(**self._timeouts))

    def written(self, key: str) -> datetime | None:
        with self.seam(key):
            bucket = self._client.bucket(self._bucket)
            blob = bucket.get_blob(self._prefix + key, **self._timeouts)
            found: datetime | None = blob.updated if blob else None
        return found

    def _blob(self, name: str) -> storage.Blob:
        return self._client.bucket(self._bucket).blob(name)

    def files(self, prefix: str, unreadable: Told) -> Iterator[tuple[str, int, datetime]]:  # noqa: ARG002
        with self.seam(prefix):
            blobs = self._client.list_blobs(
                self._bucket,
                prefix=self._prefix + prefix,
                fields="items(name,size,updated),nextPageToken",
                **self._timeouts,
            )
            for blob in blobs:
                yield blob.name.removeprefix(self._prefix), blob.size, blob.updated

    def remove(self, key: str) -> None:
        with self.seam(key):
            from google.api_core.exceptions import NotFound  # noqa: PLC0415

            for name, _, _ in list(self.files(f"{key}/", lambda *_: None)):
                with suppress(NotFound):  # deleted meanwhile
                    self._blob(self._prefix + name).delete(**self._timeouts)

    @contextmanager
    def seam(self, key: str) -> Iterator[None]:
        try:
            with failures.seam(f"{self.uri}/{key}".rstrip("/"), self._foreign):
                yield
        except SourceForbidden as error:
            raise ArtifactsError(
                error.message, hint="Airflow's account needs the role Storage Object User there"
            ) from None
        except SourceError as error:
            kind = ArtifactsUnreachable if error.retryable else ArtifactsError
            raise kind(error.message, hint=error.hint) from None


def _store(base: str) -> _Store:
    scheme, rest = split_scheme(base)
    if scheme == "gs":
        bucket, _, prefix = rest.rstrip("/").partition("/")
        if BUCKET.fullmatch(bucket) and (not prefix or _is_path(prefix)):
            return _Bucket(bucket, prefix)
    elif scheme in ("", "file"):
        path = unquote(rest.removeprefix("localhost")) if scheme else rest
        if path.startswith("/") and path.isprintable():
            return _Folder(Path(path))
    raise UsageError(
        f"artifacts cannot be kept at {mask_uri(base)!r}",
        hint="give an absolute path, or gs://BUCKET/PREFIX",
    )


def _is_path(prefix: str) -> bool:
    # ? and # are of signed URLs, which hold secrets.
    plain = prefix.isprintable() and not set(prefix) & set("?#")
    return plain and not {"", ".", ".."} & set(prefix.split("/"))


def _encode(part: str) -> str:
    """Return one segment of a key, which can lead nowhere else."""
    if not part:
        raise UsageError("an empty name leads to no artifact")
    return part.replace(".", "%2E") if part in (".", "..") else quote(part, safe=_SAFE)


def _is_encoded(segment: str) -> bool:
    # Only ASCII is: what has no UTF-8 could not be encoded to be compared.
    return segment.isascii() and bool(segment) and _encode(unquote(segment)) == segment


def _is_utf8(name: str) -> bool:
    """Tell whether a file's name, as Python has it, is text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decoded(segment: str) -> str:
    """Return a segment of a key; what is no UTF-8 in it is replaced."""
    return unquote(segment.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
