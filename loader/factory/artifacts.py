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
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote, unquote

from loader.errors import (
    ArtifactsError,
    UsageError,
)
from loader.factory import artifact_schemas
from loader.factory.artifact_schemas import Schema
from loader.factory.stores import NO_RUN, Store, local_ours, open_store

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_log = logging.getLogger(__name__)

_SAFE = ":+=@,"  # beside letters, digits and -._~; run ids hold the first two
_READ_BYTES = 1024 * 1024


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
        self._store = open_store(base)
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
                    tell(key, ArtifactsError(f"{self.uri}/{key}: {NO_RUN}"))
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

    def __init__(self, store: Store, parts: Sequence[str]) -> None:
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
        return self.read_as(name, artifact_schemas.ANYTHING)

    def exists(self, name: str) -> bool:
        """Return whether there is such a file.

        Raises:
            ArtifactsError: The store does not tell.
        """
        return self._store.exists(self._file(name))

    def read_as(self, name: str, schema: Schema, hint: str | None = None) -> Any:  # noqa: ANN401
        """Return the value of a JSON file that is what a step leaves.

        Args:
            name: The file.
            schema: What it has to be like.
            hint: What to do if it is something else; by default, to clear the task.

        Raises:
            ArtifactsError: As ``read``; or it does not fit the schema.
        """
        with self.opened(name) as stream:
            content = stream.read()
        try:
            value = artifact_schemas.parse(content)
            artifact_schemas.check(value, schema)
        except artifact_schemas.SchemaViolation as error:
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
        with local_ours(str(path)):
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
            yield io.BufferedReader(_Reader(stream, partial(self._read_ours, name)), _READ_BYTES)
        finally:
            raw.close()

    @contextmanager
    def _writing(self, name: str, packed: bool) -> Iterator[IO[bytes]]:
        file = self._file(name)
        with self._store.writing(file) as raw:
            writer = _Writer(raw, partial(self._store.ours, file), packed=packed)
            yield cast("IO[bytes]", writer)
            writer.finish()

    @contextmanager
    def _read_ours(self, name: str) -> Iterator[None]:
        with self._store.ours(self._file(name)):
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

    def __init__(self, raw: IO[bytes], ours: Callable[[], AbstractContextManager[None]]) -> None:
        self._raw = raw
        self._ours = ours

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        with self._ours():
            data = self._raw.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Writer(io.RawIOBase):
    """A file that is written, whose errors are ours; closing it does not end the file."""

    def __init__(
        self,
        raw: IO[bytes],
        ours: Callable[[], AbstractContextManager[None]],
        *,
        packed: bool,
    ) -> None:
        self._raw = raw
        self._ours = ours
        # Not a GzipFile: it ends what it packs when it is collected, after an error too.
        self._packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16) if packed else None

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        if self.closed:
            raise ValueError("write to closed file")
        view = memoryview(data)
        with self._ours():
            self._raw.write(self._packer.compress(view) if self._packer else view)
        return view.nbytes

    def finish(self) -> None:
        """Write what the packer holds; no more can be written."""
        self.close()
        if self._packer:
            with self._ours():
                self._raw.write(self._packer.flush())


def _encode(part: str) -> str:
    """Return one segment of a key, which can lead nowhere else."""
    if not part:
        raise UsageError("an empty name leads to no artifact")
    return part.replace(".", "%2E") if part in (".", "..") else quote(part, safe=_SAFE)


def _is_encoded(segment: str) -> bool:
    # Only ASCII is: what has no UTF-8 could not be encoded to be compared.
    return segment.isascii() and bool(segment) and _encode(unquote(segment)) == segment


def _decoded(segment: str) -> str:
    """Return a segment of a key; what is no UTF-8 in it is replaced."""
    return unquote(segment.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
