"""Records -> the one that names the columns, found by how well those below it become a table.

Titles and notes above a table fill a cell or two of it, padded or not; a header names nearly every
column. In doubt the first filled record is the header. Where the rows are values, a header is not:
so a title is told from a header, and a first row from either.

In: the first records, and how many cells most have. Out: a Header. Holds nothing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loader.formats.csv.kinds import NUMBER, TEXT, kind_of, kind_of_column

# A preamble is looked for in this many records only: after them the table has begun.
PREAMBLE_RECORDS = 30
# In this many cells, and rows at least, the kinds of the columns are looked for: 20 ms.
_MOST_CELLS, _LEAST_ROWS = 5000, 5
_STRONG = 2  # signs that a first row is data: one may be chance
_FIRST_YEAR, _LAST_YEAR = 1800, 2100
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
Records = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Header:
    """Where the columns' names are.

    Attributes:
        row: Their record, counted from 1 with blank ones; 0: there is none.
        above: How many records are above the first row, the header among them.
        is_proven: Whether below it are values of kinds that it has not.
        kinds: Of the columns: a kind of value, TEXT, or '' for one without values.
        typed: The share of values, from 0 to 1, of all columns that have any.
    """

    row: int
    above: int
    is_proven: bool
    kinds: Sequence[str]
    typed: float


def find(records: Records, width: int) -> Header:
    """Find the header of a table.

    Args:
        records: The first ones.
        width: How many cells most of those of the table have.
    """
    first = _first_wide(records, width)
    header = at(records, first, width)
    for place in range(first + 1, min(len(records), PREAMBLE_RECORDS)):
        above = _trimmed(records[place - 1])
        if above and not _may_be_note(above, width):
            break
        if len(_trimmed(records[place])) == width and all(map(str.strip, records[place][:width])):
            below = at(records, place, width)
            # A title of fewer cells than columns, and an empty line below it.
            is_apart = _filled(records[first]) < width and not all(
                map(_filled, records[first + 1 : place])
            )
            if is_apart or (below.is_proven and below.typed > header.typed):
                header = below
            break
    return _without(records, header, width)


def at(records: Records, place: int, width: int) -> Header:
    """Return what is known of a header at a place.

    Args:
        records: The first ones.
        place: Counted from 0.
        width: How many cells most of those of the table have.
    """
    most = max(_LEAST_ROWS, _MOST_CELLS // max(1, width))
    rows = [record for record in records[place + 1 :] if record][:most]
    columns = [
        kind_of_column([row[column] for row in rows if column < len(row)])
        for column in range(width)
    ]
    kinds = [kind for kind, _ in columns]
    shares = [share for kind, share in columns if kind]
    cells = records[place] if place < len(records) else []
    against = [
        kind not in ("", TEXT) and kind_of(cell) == TEXT
        for kind, cell in zip(kinds, cells, strict=False)
    ]
    return Header(
        place + 1,
        place + 1,
        any(against) and not _fits_any(cells, kinds),
        kinds,
        sum(shares) / len(shares) if shares else 0.0,
    )


def _first_wide(records: Records, width: int) -> int:
    """Return the place, from 0, of the first record that fills half the table's width."""
    for place, record in enumerate(records[:PREAMBLE_RECORDS]):
        filled = _filled(record)
        # Half is enough for an unnamed column beside a named one, not for a title above two.
        if 2 * filled > width or (2 * filled == width and len(record) >= width):
            return place
    return next((place for place, record in enumerate(records) if record), 0)


def _may_be_note(record: Sequence[str], width: int) -> bool:
    """Tell whether a record may be a title, a note, or a label with its value."""
    return len(record) > width or _filled(record) < width


def _fits_any(cells: Sequence[str], kinds: Sequence[str]) -> bool:
    """Tell whether a name would do as a value of its column; a year is a name, too."""
    return any(
        kind not in ("", TEXT) and kind_of(cell) == kind and not _is_year(cell)
        for cell, kind in zip(cells, kinds, strict=False)
    )


def _without(records: Records, header: Header, width: int) -> Header:
    """Return the header, or that there is none, where the evidence for a row of data is strong."""
    place = header.row - 1
    rows = [record for record in records[place + 1 :] if len(record) == width]
    if not records or len(rows) < _STRONG or len(records[place]) != width:
        return header
    cells = records[place]
    typed = [
        cell for cell, kind in zip(cells, header.kinds, strict=False) if kind not in ("", TEXT)
    ]
    places = [
        place
        for place, (cell, kind) in enumerate(zip(cells, header.kinds, strict=False))
        if kind not in ("", TEXT) and kind_of(cell) == kind
    ]
    fitting = [cells[place] for place in places]
    if not fitting or any(kind_of(cell) == TEXT or not cell.strip() for cell in typed):
        return header
    if len(fitting) < len(typed):  # an integer above dates, a date above numbers: a name
        return header
    repeated = sum(
        1
        for column, cell in enumerate(cells)
        if kind_of(cell) == TEXT and any(row[column] == cell for row in rows)
    )
    is_run = places == list(range(places[0], places[0] + len(places)))
    strong = _signs_of_data(fitting, is_run) + repeated
    strong += len(fitting) == len(cells) and strong > 0
    return _headless(header) if strong >= _STRONG else header


def _signs_of_data(cells: Sequence[str], is_run: bool) -> int:
    """Count what speaks against names: years, and numbers in their order, may be names.

    Args:
        cells: Those that would do as values of their columns.
        is_run: Whether they are side by side.
    """
    numbers = [cell for cell in cells if kind_of(cell) == NUMBER]
    # A date above dates is hardly the name of their column.
    signs = _STRONG * (len(cells) - len(numbers)) + (len(set(numbers)) < len(numbers))
    if not (is_run and _ascend(numbers)):
        signs += sum(1 for cell in numbers if not _INTEGER.fullmatch(cell.strip()))
    return signs


def _ascend(numbers: Sequence[str]) -> bool:
    values = [float(cell) if _is_plain(cell) else float("nan") for cell in numbers]
    return len(values) > 1 and all(one < other for one, other in itertools.pairwise(values))


def _is_plain(cell: str) -> bool:
    return re.fullmatch(r"\s*[+-]?[0-9]{1,300}(?:\.[0-9]{1,300})?\s*", cell) is not None


def _is_year(cell: str) -> bool:
    cell = cell.strip()
    return (
        cell.isascii()
        and cell.isdigit()
        and len(cell) == len(str(_LAST_YEAR))
        and (_FIRST_YEAR <= int(cell) <= _LAST_YEAR)
    )


def _headless(header: Header) -> Header:
    """Return the same table without a header: its row is the first of the data."""
    return replace(header, row=0, above=header.above - 1, is_proven=False)


def _filled(record: Sequence[str]) -> int:
    return sum(1 for cell in record if cell.strip())


def _trimmed(record: Sequence[str]) -> Sequence[str]:
    """Return a record without the empty cells at its end."""
    end = len(record)
    while end and not record[end - 1].strip():
        end -= 1
    return record[:end]
