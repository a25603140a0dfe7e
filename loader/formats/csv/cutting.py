"""The head of a text, cut by a dialect: its first records, where its line ends are found.

In: the first bytes of the UTF-8 text, and a Dialect. Out: a Cut. Holds the head once more.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loader.formats.csv import dialect as dialects
from loader.formats.csv import plain, quoting, reader
from loader.formats.csv.dialect import Dialect

_FEW = 3  # cells of a header, to tell it from a note
SNIFFED_RECORDS = 100
_LF, _CR, _SPACE = b"\n\r "
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True)
class Cut:
    """The head as a dialect cuts it.

    Attributes:
        dialect: Without the header's row.
        octets: The head, in which every CR ends a record: others became spaces.
        records: The first ones; a blank line and a comment are empty.
        lines: How many lines have been read at the end of each record.
    """

    dialect: Dialect
    octets: bytes
    records: list[list[str]]
    lines: list[int]

    @property
    def text(self) -> str:
        """What Python's csv is to read."""
        return self.octets.decode("utf-8", errors="replace")

    @property
    def consistency(self) -> tuple[bool, float]:
        """Whether the first filled record is as wide as most, and the share of these.

        One cell proves nothing, and neither does one record: so looks what is cut in too few
        places. What is cut in too many has a header that differs.
        """
        widths = [len(record) for record in self.records if record]
        width = self.dialect.width
        alike = widths.count(width)
        if width <= 1 or alike <= 1:
            return False, 0.0
        wide = (size for size in widths if 2 * size > width)
        return next(wide, 0) == width, (alike - 1) / len(widths)

    def begin(self, records: int) -> int:
        """Return the offset behind some of the records."""
        if not records:
            return 0
        lines = itertools.islice(_LINE.finditer(self.octets), self.lines[records - 1])
        return max((line.end() for line in lines), default=0)


def cut(head: bytes, dialect: Dialect, whole: bool, limit: int = SNIFFED_RECORDS) -> Cut:
    """Cut the head, at the line ends that are found with its dialect."""
    if head.count(b"\r") == head.count(b"\r\n"):
        return _with_width(head, dialect, whole, limit)
    octets = np.frombuffer(head, np.uint8)
    newlines = quoting.Walk(octets, dialect).all(quoting.newlines)
    returns = quoting.Walk(octets, dialect).all(quoting.returns)
    bare = returns[quoting.is_bare(octets, returns)]
    if not len(newlines) and not len(bare):  # a quote opens in the first cells: all is inside
        newlines = np.flatnonzero(octets == _LF)
        bare = returns = np.flatnonzero(octets == _CR)
    if not len(bare):
        return _cut_at_newlines(octets, dialect, whole, limit)
    universal = replace(dialect, universal_newlines=True)
    by_returns = _with_width(head, universal, whole, limit)
    if not len(newlines):
        return by_returns
    by_newlines = _cut_at_newlines(octets, dialect, whole, limit)
    if by_returns.dialect.width != by_newlines.dialect.width:
        again = _cut_at_newlines(octets, dialect, whole, limit, by_returns.dialect.width)
        by_newlines = max(by_newlines, again, key=lambda tried: tried.consistency)
    if _ending_rows(octets, newlines) > len(bare):
        return by_newlines
    # Cells of several lines each may lack their quotes.
    best = max(by_returns, by_newlines, key=lambda tried: tried.consistency)
    if len(newlines) > len(bare) and not best.consistency[0]:
        return by_newlines
    return best


def usual_end(head: bytes, dialect: Dialect) -> str:
    """Return what most records end in, LF or CRLF."""
    if b"\r" not in head or dialect.universal_newlines:
        return "\n"
    octets = np.frombuffer(head, np.uint8)
    newlines = quoting.Walk(octets, dialect).all(quoting.newlines)
    in_crlf = np.count_nonzero(octets[np.maximum(newlines, 1) - 1] == _CR)
    return "\r\n" if 2 * in_crlf > len(newlines) else "\n"


def usual_width(records: Iterable[list[str]]) -> int:
    """Return how many cells most of the filled records have."""
    return Counter(len(record) for record in records if record).most_common(1)[0][0]


def table_width(records: Sequence[Sequence[str]]) -> int:
    """Return how many cells the table's records have: most, notes of one cell aside.

    Where two records in a row have as many cells, more than one, those of one cell are notes, or
    a table of one column in which a few commas stand.
    """
    widths = [len(record) for record in records if record]
    if not widths:
        return 0
    usual = Counter(widths).most_common(1)[0][0]
    if usual > 1:
        return usual
    first_record = next(record for record in records if record)
    is_list = all(map(str.strip, first_record)) and not any(
        cell.startswith(" ") for cell in first_record
    )
    if is_list and len(first_record) >= _FEW and widths.count(len(first_record)) > 1:
        return len(first_record)  # a header, below which most rows are in pieces
    neighbours = Counter(one for one, other in itertools.pairwise(widths) if one == other > 1)
    if not neighbours:
        return usual
    wide = neighbours.most_common(1)[0][0]
    first = widths.index(wide)
    last = len(widths) - 1 - widths[::-1].index(wide)
    inside = widths[first : last + 1]
    return wide if 2 * inside.count(wide) > len(inside) else usual


def _ending_rows(octets: quoting.Octets, newlines: quoting.Offsets) -> int:
    """Count the newlines that end rows: that of a blank line does not tell what rows end in."""
    return int(np.count_nonzero(octets[np.maximum(newlines, 1) - 1] != _LF))


def _cut_at_newlines(
    octets: quoting.Octets, dialect: Dialect, whole: bool, limit: int, width: int | None = None
) -> Cut:
    """Cut the head where records end in LF, or CRLF; and in some places, it may be, in CR.

    Without a width given it is that of most records that end in LF.
    """
    returns = quoting.Walk(octets, dialect).all(quoting.returns)
    returns = returns[octets[np.minimum(returns + 1, len(octets) - 1)] != _LF]
    spaced = octets.copy()
    spaced[returns] = _SPACE
    tried = _with_width(spaced.tobytes(), dialect, whole, limit)
    if width is not None:
        tried = replace(tried, dialect=replace(dialect, width=width))
    newlines = quoting.Walk(octets, dialect).all(quoting.newlines)
    ending = quoting.ending_returns(octets, tried.dialect, newlines, whole)
    if not len(ending):
        return tried
    spaced[ending] = _LF
    return _read(spaced.tobytes(), tried.dialect, whole, limit)


def _with_width(head: bytes, dialect: Dialect, whole: bool, limit: int) -> Cut:
    found = _read(head, dialect, whole, limit)
    width = usual_width(found.records) if any(found.records) else 0
    return replace(found, dialect=replace(dialect, width=width))


def _read(octets: bytes, dialect: Dialect, whole: bool, limit: int) -> Cut:
    """Read the first records, and count the lines that they take."""
    text = octets
    if plain.is_unusual(dialect):
        text, _ = plain.rewrite(octets, replace(dialect, universal_newlines=True))
    counted = _Counted(
        dialects.lines(text.decode("utf-8", errors="replace").replace("\0", "\ufffd"))
    )
    records: list[list[str]] = []
    lines: list[int] = []
    for record in itertools.islice(dialect.read(counted), limit + 1):
        records.append(record)
        lines.append(counted.count)
    if not (whole and len(records) <= limit):
        records, lines = records[:-1], lines[:-1]
    return Cut(dialect, octets, records, lines)


class _Counted:
    """Lines, and how many of them were taken."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.count = 0
        self._lines = lines

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.count += 1
            yield line


def falls_well(text: str, dialect: Dialect, limit: int | None = None) -> bool:
    """Tell whether every closing quote of the first records ends its cell."""
    try:
        for _ in itertools.islice(dialect.records(text, strict=True), limit):
            pass
    except reader.Error:
        return False
    return True


def lacks_row_names(cut: Cut, place: int) -> bool:
    """Tell whether a header is R's, which names the columns but not that of the rows' names.

    ``write.table`` puts all of these names into quotes. Without them, a cell too many in each row
    may as well be a delimiter inside of a text.

    Args:
        cut: The records.
        place: Of the header among them.
    """
    headers = cut.records[place] if place < len(cut.records) else []
    rows = [record for record in cut.records[place + 1 :] if record]
    if not rows or not headers or any(len(record) != len(headers) + 1 for record in rows):
        return False
    quote, delimiter = cut.dialect.quote, cut.dialect.delimiter
    names = [record[0] for record in rows]
    if not quote or len(set(names)) < len(names):
        return False
    are_quoted = all(f"{quote}{name}{quote}" in cut.text for name in headers)
    return are_quoted and all(f"{quote}{name}{quote}{delimiter}" in cut.text for name in names)
