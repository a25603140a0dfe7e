"""Where artifacts are kept: a local folder, or a bucket of Google Cloud Storage.

In: the URI of a BASE, and keys below it, whose segments are percent-encoded. Out: files, which are
there whole or not at all, and errors of the store as ours. Holds a chunk of 8 MiB of a file that
goes to a bucket.

A store is a class with the methods of ``Store``, and a line in ``open_store``.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote
from uuid import uuid4

from loader.errors import (
    ArtifactsError,
    ArtifactsUnreachable,
    SourceError,
    SourceForbidden,
    UsageError,
)
from loader.net import failures
from loader.net.uri import mask_uri, split_scheme
from loader.source.gcs import BUCKET, foreign_errors

if TYPE_CHECKING:
    from google.cloud import storage

_log = logging.getLogger(__name__)

# Of files in a local folder. Who sets the folder's setgid bit shares it with its group: that of a
# CKAN, say, which gives out the rejected rows.
_OWNER_ONLY, _GROUP_TOO = 0o600, 0o640
NO_RUN = "it is no folder of a run"
_CHUNK_BYTES = 8 * 1024 * 1024  # of one request to a bucket; Google asks for multiples of 256 KiB
_TIMEOUT_S = (10.0, 60.0)  # until connected, and between two reads
RETRY_S = 60.0  # how long Google's client goes on trying; after it, Airflow tries the task again

# Is called with a key that cannot be looked into.
Unreadable = Callable[[str, ArtifactsError], None]


class Store(Protocol):
    """Files by key. Errors are ArtifactsError; ArtifactsUnreachable where a retry can help."""

    uri: str  # of BASE, as it is shown

    def open(self, key: str) -> IO[bytes] | None:
        """Open a file for reading; None if it is not there. ``ours`` goes around its methods."""

    def writing(self, key: str) -> AbstractContextManager[IO[bytes]]:
        """Write a file that is there when the block has ended well, and not before."""

    def exists(self, key: str) -> bool:
        """Tell whether there is such a file."""

    def written(self, key: str) -> datetime | None:
        """Return when a file was written; None if it is not there."""

    def files(self, prefix: str, unreadable: Unreadable) -> Iterator[tuple[str, int, datetime]]:
        """Yield key, size and time of each file below a key, in order of the keys."""

    def remove(self, key: str) -> None:
        """Remove a file, or all that is below a key."""

    def ours(self, key: str) -> AbstractContextManager[None]:
        """Turn the errors of the store, within a block, into ours."""


class _Folder:
    """A local folder, made with the first file that is written into it."""

    def __init__(self, path: Path) -> None:
        self.uri = str(path)
        self._path = path

    def open(self, key: str) -> IO[bytes] | None:
        with self.ours(key):
            try:
                return (self._path / key).open("rb")
            except FileNotFoundError:
                return None

    @contextmanager
    def writing(self, key: str) -> Iterator[IO[bytes]]:
        path = self._path / key
        partial_path = path.with_name(f".{path.name}.{uuid4().hex}.part")
        with self.ours(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            # They hold rows, which are nobody else's business until CKAN shows them.
            shared = path.parent.stat().st_mode & stat.S_ISGID
            mode = _GROUP_TOO if shared else _OWNER_ONLY
            opened = os.open(partial_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            stream = os.fdopen(opened, "wb")
        try:
            yield stream
            with self.ours(key):
                stream.close()
                partial_path.replace(path)
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell
                stream.close()
            with suppress(OSError):
                partial_path.unlink()
            raise

    def exists(self, key: str) -> bool:
        with self.ours(key):
            return (self._path / key).is_file()

    def written(self, key: str) -> datetime | None:
        path = self._path / key
        with self.ours(key):
            try:
                return _written(path.stat()) if path.is_file() else None
            except FileNotFoundError:  # deleted meanwhile
                return None

    def files(self, prefix: str, unreadable: Unreadable) -> Iterator[tuple[str, int, datetime]]:
        with self.ours(""), suppress(FileNotFoundError):  # BASE itself has to let us in
            os.stat(os.path.join(self._path, "."))  # noqa: PTH116, PTH118  (pathlib drops the dot)
        waiting = [self._path / prefix]
        while waiting:
            folder = waiting.pop()
            found: list[tuple[str, int, datetime]] = []
            folders: list[Path] = []
            with self._reporting(folder, unreadable, is_base=folder == self._path):
                for entry in _entries(folder):
                    with self._reporting(Path(entry.path), unreadable):
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
            raise ArtifactsError(f"{self.uri}/{key}: {NO_RUN}")

    @contextmanager
    def _reporting(
        self, path: Path, unreadable: Unreadable, *, is_base: bool = False
    ) -> Iterator[None]:
        """Report a place that cannot be looked into, and go on with the others; not BASE itself."""
        key = "" if is_base else self._key(path)
        try:
            with self.ours(key):
                yield
        except ArtifactsError as error:
            if is_base:
                raise
            unreadable(key, error)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._path).as_posix()

    def remove(self, key: str) -> None:
        with self.ours(key):
            _remove(self._path / key)

    def ours(self, key: str) -> AbstractContextManager[None]:
        return local_ours(f"{self.uri}/{key}")


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
def local_ours(shown: str) -> Iterator[None]:
    """Turn errors of the file system, within a block, into ours."""
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
        from google.cloud import storage  # noqa: PLC0415  (an extra, only a bucket needs it)

        if os.environ.get("STORAGE_EMULATOR_HOST"):
            return storage.Client.create_anonymous_client()
        with self.ours(""):
            # Files need no project, but the client will not start without one.
            return storage.Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT", "none"))

    @cached_property
    def _timeouts(self) -> dict[str, Any]:
        from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415  (an extra, only a bucket needs it)

        return {"timeout": _TIMEOUT_S, "retry": DEFAULT_RETRY.with_timeout(RETRY_S)}

    def _smart_open(self, key: str, mode: str, **parameters: object) -> Any:  # noqa: ANN401
        import smart_open  # noqa: PLC0415  (an extra, only a bucket needs it)

        client = {"client": self._client, "min_part_size": _CHUNK_BYTES}
        return smart_open.open(
            f"{self.uri}/{key}",
            mode,
            compression="disable",
            transport_params=client | parameters,
        )

    def open(self, key: str) -> IO[bytes] | None:
        with self.ours(key):
            from google.api_core.exceptions import NotFound  # noqa: PLC0415  (an extra, only a bucket needs it)

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
        with self.ours(key):
            upload = self._smart_open(key, "wb", blob_open_kwargs=self._timeouts)
        try:
            yield upload
            with self.ours(key):
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
        with self.ours(key):
            return bool(self._blob(self._prefix + key).exists(**self._timeouts))

    def written(self, key: str) -> datetime | None:
        with self.ours(key):
            bucket = self._client.bucket(self._bucket)
            blob = bucket.get_blob(self._prefix + key, **self._timeouts)
            found: datetime | None = blob.updated if blob else None
        return found

    def _blob(self, name: str) -> storage.Blob:
        return self._client.bucket(self._bucket).blob(name)

    def files(self, prefix: str, unreadable: Unreadable) -> Iterator[tuple[str, int, datetime]]:  # noqa: ARG002
        with self.ours(prefix):
            blobs = self._client.list_blobs(
                self._bucket,
                prefix=self._prefix + prefix,
                fields="items(name,size,updated),nextPageToken",
                **self._timeouts,
            )
            for blob in blobs:
                yield blob.name.removeprefix(self._prefix), blob.size, blob.updated

    def remove(self, key: str) -> None:
        with self.ours(key):
            from google.api_core.exceptions import NotFound  # noqa: PLC0415  (an extra, only a bucket needs it)

            for name, _, _ in list(self.files(f"{key}/", lambda *_: None)):
                with suppress(NotFound):  # deleted meanwhile
                    self._blob(self._prefix + name).delete(**self._timeouts)

    @contextmanager
    def ours(self, key: str) -> Iterator[None]:
        try:
            with failures.ours(f"{self.uri}/{key}".rstrip("/"), self._foreign):
                yield
        except SourceForbidden as error:
            raise ArtifactsError(
                error.message, hint="Airflow's account needs the role Storage Object User there"
            ) from None
        except SourceError as error:
            kind = ArtifactsUnreachable if error.retryable else ArtifactsError
            raise kind(error.message, hint=error.hint) from None


def open_store(base: str) -> Store:
    """Return the store of a BASE; nothing is looked at yet.

    Raises:
        UsageError: It is neither an absolute path, a file:// URL nor gs://BUCKET[/PREFIX].
    """
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


def _is_utf8(name: str) -> bool:
    """Tell whether a file's name, as Python has it, is text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
