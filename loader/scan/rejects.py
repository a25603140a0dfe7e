"""Rejected records -> a CSV file: row number, reason, raw text.

Lanes finish blocks out of order; the file is in the order of the source. Holds the rejects of
the few blocks that overtook an earlier one.

People open the file in a spreadsheet, and what is in it a stranger may have written: what would be
a formula there is marked as text. It holds rows that may be nobody else's business, so that only
its owner may read it.
"""

from __future__ import annotations

import csv
import glob
import logging
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TextIO

from loader.errors import RejectsNotWritten, TooManyBadRows, UsageError
from loader.formats.csv import reader
from loader.formats.rows import Reject

_log = logging.getLogger(__name__)
_FIRST = 10  # how many the report shows
_NAMED = 3  # of them, in an error
_FEW = 10  # may be any part of a small file
_MOST_REASONS = 100  # are counted: a damaged file may have as many as rows
_HEADER = ("row", "reason", "raw")
_OWNER_ONLY = 0o600
PIECE_CHARACTERS = 1 << 20

# With which a formula begins, in the forms of East Asian keyboards too.
_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
# What a spreadsheet may leave out before them: spaces, controls, quotes, marks without a width.
_PASSED_OVER = "\\s\"'`\\x00-\\x20\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
_FORMULA = re.compile(f"[\t\r\n]|[{_PASSED_OVER}]*[{_SIGNS}]")
# Where the list separator is a semicolon, a comma and quotes do not keep a raw line in one cell.
# A run of separators is matched whole: looked at from each of them, a long one would take the
# square of its length. A plain number is no formula: half of the cells of some files are negative.
_LATER_CELL = re.compile(
    f"([;\t\r\n][;{_PASSED_OVER}]*)(?:[+-][0-9.,]+ *(?=[;\t\r\n]|$)|([{_SIGNS}]))?"
)


def as_text(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: ``'`` is before what would be one."""
    first = _FORMULA.match(cell)
    begin = first.end() if first else 0
    marked = f"'{first[0]}" if first else ""
    return marked + _LATER_CELL.sub(_marked, cell[begin:])


def _marked(match: re.Match[str]) -> str:
    """Mark what stands behind separators, if a formula begins there."""
    separators, sign = match.groups()
    if not sign:
        return match[0]
    # The cell begins behind the last of them, be it a semicolon or a tab that separates.
    begins = {max(map(separators.rfind, kind)) + 1 for kind in (";\r\n", "\t\r\n")}
    for begin in sorted(begins - {0}, reverse=True):
        separators = f"{separators[:begin]}'{separators[begin:]}"
    return separators + sign


class Rejects:
    """Collects what was set aside; the file appears with the first of them, whole at the end.

    Args:
        path: Where the file goes; None: there is none, they are only counted.
        limit: How many rejects are accepted.
        share: Which part of all rows they may be, unless they are few.
    """

    def __init__(self, path: Path | None, limit: int, share: float = 1.0) -> None:
        self.path = path
        self.limit = limit
        self.share = share
        self.count = 0
        self.first: list[Reject] = []
        self._reasons: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._waiting: dict[int, Sequence[Reject]] = {}
        self._next_block = 0
        self._file: TextIO | None = None

    def add(self, block: int, rejects: Sequence[Reject]) -> None:
        """Take the rejects of a block, also when it has none.

        Raises:
            TooManyBadRows: More than the limit, in the order of the source.
            RejectsNotWritten: The file cannot be written.
        """
        with self._lock:
            self._waiting[block] = rejects
            while self._next_block in self._waiting:
                for reject in self._waiting.pop(self._next_block):
                    self._write(reject)
                self._next_block += 1

    def check(self, rows: int, stored: int) -> None:
        """Refuse a file of which too many rows were set aside: it was read in the wrong way.

        Args:
            rows: Of the file.
            stored: How many of them can be placed.

        Raises:
            TooManyBadRows: None can, or more than the share cannot.
        """
        if not self.count:
            return
        if not stored:
            hint = "mend the file, or name its delimiter, header row or encoding"
            raise self._refused("no row can be placed, so nothing is loaded", hint, "delimiter")
        if self.count > _FEW and self.count > self.share * rows:
            part = f"{self.count / rows:.1%}"
            refused = f"{self.count:,} of {rows:,} rows cannot be placed ({part})"
            hint = "mend the file, name its delimiter, header row or encoding, or allow more"
            raise self._refused(refused, hint, "max_bad_share")

    def _refused(self, message: str, hint: str, option: str) -> TooManyBadRows:
        first = self.first[0]
        shown = ", ".join(str(reject.row) for reject in self.first[:_NAMED])
        rows = f" (rows {shown}{', ...' * (self.count > _NAMED)})" if self.count > 1 else ""
        reason, count = self._reasons.most_common(1)[0]
        which = "all" if count == self.count > 1 else "the first"
        see = f"see {self.path}; " if self.path is not None else ""
        return TooManyBadRows(
            f"{message}; {which}: {reason if which == 'all' else first.reason}{rows}",
            row=first.row,
            hint=f"{see}{'name the right encoding, ' if first.undecodable else ''}{hint}",
            option="encoding" if first.undecodable else option,
        )

    def _write(self, reject: Reject) -> None:
        self.count += 1
        if reject.reason in self._reasons or len(self._reasons) < _MOST_REASONS:
            self._reasons[reject.reason] += 1
        if len(self.first) < _FIRST:
            self.first.append(reject)
        if self.path is not None:
            with _ours(self.path):
                reason, raw = as_text(reject.reason), as_text(reject.raw)
                _write_row(self._open(self.path), (str(reject.row), reason), raw)
        if self.count > self.limit:
            message = f"more than {self.limit} rows cannot be placed"
            raise self._refused(message, "mend the file, or allow more", "max_bad_rows")

    def _open(self, path: Path) -> TextIO:
        if self._file is None:
            if path.exists() and not path.is_file():
                raise OSError(0, "it is a folder, a device or a pipe")
            partial = _partial(path)
            partial.unlink(missing_ok=True)  # of a killed process that had this number
            opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
            self._file = os.fdopen(opened, "w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(_HEADER)
        return self._file

    def __enter__(self) -> Rejects:
        """Return the collector."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the file in its place: also after an error, since it shows what was wrong."""
        if self._file is None or self.path is None:
            return
        try:
            with _ours(self.path):
                self._file.close()
                _partial(self.path).replace(self.path)
        except RejectsNotWritten as unwritten:
            _partial(self.path).unlink(missing_ok=True)
            if error is None:
                raise
            _log.warning("%s", unwritten)  # must not hide why the load failed

    def discard(self) -> None:
        """Leave no file: the load begins anew with another collector."""
        if self._file is not None and self.path is not None:
            self._file.close()
            self._file = None
            _partial(self.path).unlink()


def _write_row(file: TextIO, cells: Sequence[str], last: str) -> None:
    """Write a row; of a long last cell a piece at a time, which csv would hold some ten times."""
    writer = csv.writer(file)
    if len(last) <= PIECE_CHARACTERS:
        writer.writerow((*cells, last))
        return
    csv.writer(file, lineterminator=',"', quoting=csv.QUOTE_ALL).writerow(cells)
    file.writelines(
        last[begin : begin + PIECE_CHARACTERS].replace('"', '""')
        for begin in range(0, len(last), PIECE_CHARACTERS)
    )
    file.write(f'"{writer.dialect.lineterminator}')


def _partial(path: Path) -> Path:
    return path.parent / f"{path.name}.{os.getpid()}.part"


@contextmanager
def _ours(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise RejectsNotWritten(
            f"the rejects file cannot be written: {reason}: {path}",
            hint="make room, or name another place",
            option="rejects",
        ) from error


def check_place(path: Path) -> None:
    """See that a file may lie at a path that somebody names, without writing there.

    Raises:
        UsageError: It cannot.
    """
    reason = None
    try:
        if path.is_dir():
            reason = "it is a folder"
        elif path.exists() and not path.is_file():
            reason = "it is a device or a pipe"  # which a file would take the place of
        elif not path.parent.is_dir():
            reason = "there is no such folder"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
    if reason:
        raise UsageError(
            f"the rejects file cannot be written: {reason}: {path}",
            hint="name another place",
            option="rejects",
        )


def remove_stale(path: Path) -> None:
    """Remove the rejects of an earlier load, if it is such a file: this load has none."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_uid != os.geteuid():
            return
        if _holds_rejects(path):
            path.unlink()
    except FileNotFoundError:
        pass
    except (OSError, ValueError, reader.Error) as error:  # the table is loaded all the same
        _log.warning("%s of an earlier load stays: %s", path, error)


def _holds_rejects(path: Path) -> bool:
    """Tell whether a file begins as one of ours does: there is none without a row."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = reader.read(file)
        header, first = next(rows, None), next(rows, None)
    is_row = first is not None and len(first) == len(_HEADER) and first[0].isdecimal()
    return header == list(_HEADER) and is_row


def remove_leftovers(path: Path) -> None:
    """Remove the unfinished files beside a path whose processes are gone."""
    try:
        for partial in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
            pid = partial.name.split(".")[-2]
            if pid.isdecimal() and not _is_running(int(pid)):
                partial.unlink(missing_ok=True)
    except OSError as error:  # nothing that this load needs
        _log.warning("what killed loads left beside %s stays: %s", path, error.strerror)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # somebody else's
    return True
