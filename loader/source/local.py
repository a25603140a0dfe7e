"""Local files: a path, or file://.

smart_open would only call open() too, after 0.3 s of imports. Holds nothing of the file.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from loader.errors import SourceError, SourceForbidden, SourceNotFound, UsageError
from loader.net.failures import changed
from loader.net.target import Target
from loader.net.uri import split_scheme
from loader.source.identity import Identity
from loader.source.transport import Connection

SCHEMES: tuple[str, ...] = ("", "file")


def connect(target: Target, _offset: int, _known: Identity | None) -> Connection:
    """Open a file at its first byte: a local file does not drop, so no other is asked for."""
    path = local_path(target.uri)
    if path is None:
        raise UsageError(
            f"cannot load from {target.shown}: it names another host",
            hint="a file:// URL begins with three slashes",
        )
    if not path.strip():  # "" would be the directory that we are in
        raise UsageError(
            f"the source {target.shown!r} names no file", hint="give a path or a URL of a CSV file"
        )
    return LocalFile(path, target.shown)


def local_path(uri: str) -> str | None:
    """Return the path of a file of this machine; None where the URI names none."""
    scheme, path = split_scheme(uri)
    if not scheme:
        return path
    host, slash, rest = path.partition("/")
    return unquote(slash + rest) if scheme == "file" and host in ("", "localhost") else None


class LocalFile:
    """An open file, the one kind of source that can be read out of order."""

    end_is_certain = True
    tells_pace = False

    def __init__(self, path: str, shown: str) -> None:
        self._path, self._shown = Path(path), shown
        with _ours(shown):
            self._check_kind()
            self._file = io.FileIO(path)
            self.identity = _file_identity(os.fstat(self._file.fileno()))
        self.size = self.identity.size

    def _check_kind(self) -> None:
        mode = self._path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(
                f"{self._shown} is a directory", hint="name the file in it that is to be loaded"
            )
        if not stat.S_ISREG(mode):
            # A load may have to read its source a second time.
            raise SourceError(
                f"{self._shown} is not a regular file", hint="write it to a file first"
            )

    def readinto(self, view: memoryview) -> int:
        """Read on; 0 only at the end."""
        with _ours(self._shown):
            return self._file.readinto(view) or 0

    def check_unchanged(self) -> None:
        """Raise SourceChanged if the file was written to, replaced or removed."""
        with _ours(self._shown):
            written = _file_identity(os.fstat(self._file.fileno()))
            try:
                named = _file_identity(self._path.stat())
            except FileNotFoundError:
                raise changed(self._shown) from None
        if not self.identity == written == named:
            raise changed(self._shown)

    def seek(self, offset: int, whence: int) -> int:
        """Move, and return the new place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._file.tell()

    def close(self) -> None:
        """Let go."""
        self._file.close()


def _file_identity(status: os.stat_result) -> Identity:
    return Identity(inode=status.st_ino, mtime_ns=status.st_mtime_ns, size=status.st_size)


@contextmanager
def _ours(shown: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise SourceNotFound(f"{shown}: no such file") from None
    except PermissionError:
        raise SourceForbidden(
            f"{shown} may not be read", hint="check the file's permissions"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SourceError(f"{shown} cannot be read ({reason})") from error
