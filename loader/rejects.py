"""Rejected records -> a CSV file: row number, reason, raw text.

Lanes finish blocks out of order; the file is in the order of the source. Holds the rejects of
the few blocks that overtook an earlier one.
"""

from __future__ import annotations

import csv
import glob
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TextIO

from loader.errors import RejectsNotWritten, TooManyBadRows, UsageError
from loader.table import Reject

_log = logging.getLogger(__name__)
_FIRST = 10  # how many the report shows
_HEADER = ("row", "reason", "raw")


class Rejects:
    """Collects what was set aside; the file appears with the first of them, whole at the end.

    Args:
        path: Where the file goes.
        limit: How many rejects are accepted.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.limit = limit
        self.count = 0
        self.first: list[Reject] = []
        self._lock = threading.Lock()
        self._waiting: dict[int, Sequence[Reject]] = {}
        self._next_block = 0
        self._partial = path.parent / f"{path.name}.{os.getpid()}.part"
        self._file: TextIO | None = None

    def add(self, block: int, rejects: Sequence[Reject]) -> None:
        """Take the rejects of a block, also when it has none.

        Raises:
            TooManyBadRows: More than the limit, in the order of the source.
        """
        with self._lock:
            self._waiting[block] = rejects
            while self._next_block in self._waiting:
                for reject in self._waiting.pop(self._next_block):
                    self._write(reject)
                self._next_block += 1

    def _write(self, reject: Reject) -> None:
        self.count += 1
        if len(self.first) < _FIRST:
            self.first.append(reject)
        with self._writing():
            writer = csv.writer(self._open())
            writer.writerow((reject.row, reject.reason, reject.raw))
        if self.count > self.limit:
            first = self.first[0]
            encoding = "name the right encoding with --encoding, " if first.undecodable else ""
            raise TooManyBadRows(
                f"more than {self.limit} rows cannot be placed; the first: {first.reason}",
                row=first.row,
                hint=f"see {self.path}; {encoding}mend the file, or allow more with --max-bad-rows",
            )

    def _open(self) -> TextIO:
        if self._file is None:
            self._file = self._partial.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(_HEADER)
        return self._file

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RejectsNotWritten(
                f"the rejects file cannot be written: {error.strerror}: {self.path}",
                hint="make room, or name another place with --rejects",
            ) from error

    def __enter__(self) -> Rejects:
        """Return the collector.

        Raises:
            UsageError: The file could not be written if there were any.
        """
        if reason := self._obstacle():
            raise UsageError(
                f"the rejects file cannot be written: {reason}: {self.path}",
                hint="name another place with --rejects",
            )
        return self

    def _obstacle(self) -> str | None:
        """Return what keeps the file from being written; only an attempt can tell."""
        try:
            if self.path.is_dir():
                return "it is a folder"
            self._partial.touch()
            self._partial.unlink()
        except OSError as error:
            return error.strerror or type(error).__name__
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the file in its place: also after an error, since it shows what was wrong."""
        if self._file is None:
            return
        try:
            with self._writing():
                self._file.close()
                self._partial.replace(self.path)
        except RejectsNotWritten as unwritten:
            self._partial.unlink(missing_ok=True)
            if error is None:
                raise
            _log.warning("%s", unwritten)  # must not hide why the load failed

    def discard(self) -> None:
        """Leave no file: the load begins anew with another collector."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._partial.unlink()


def remove_stale(path: Path) -> None:
    """Remove the rejects of an earlier load, if it is such a file: this load has none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            is_ours = next(csv.reader(file), None) == list(_HEADER)
        if is_ours:
            path.unlink()
    except FileNotFoundError:
        pass
    except (OSError, ValueError, csv.Error) as error:  # the table is loaded all the same
        _log.warning("%s of an earlier load stays: %s", path, error)


def remove_leftovers(path: Path) -> None:
    """Remove the unfinished files beside a path whose processes are gone."""
    for partial in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        pid = partial.name.split(".")[-2]
        if pid.isdecimal() and not _is_running(int(pid)):
            try:
                partial.unlink(missing_ok=True)
            except OSError as error:  # nothing that this load needs
                _log.warning("%s stays: %s", partial, error.strerror)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # somebody else's
    return True
