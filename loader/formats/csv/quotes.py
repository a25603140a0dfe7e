"""The head of a text -> how its cells are quoted: doubled quotes, backslashes, or none at all.

Where every quote falls as it should, there is nothing to choose. If not, each way is held against
the head line by line: how many rows break its rules, and how many need it.

In: the first bytes of the UTF-8 text, and a dialect. Out: the dialect with its quote and escape.
Holds the head's cells, a row at a time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from loader.formats.csv import cutting, plain, stray
from loader.formats.csv.dialect import Dialect

_LINE_END = re.compile(r"\r\n|\r|\n")
_ENOUGH_FAULTS = 0.1  # of the cells in quotes, for the rest of them to have literal quotes
# Behind a fault lines are read again: by so many times the text's length, then each is one.
_MOST_AGAIN = 4
_ESCAPE = "\\"
SINGLE = "'"


@dataclass(frozen=True)
class _Row:
    """A row as a dialect reads it.

    Attributes:
        cells: As written, quotes included.
        lines: How many lines it takes.
        is_fault: Whether it breaks the rules of the quotes; then it is one line.
    """

    cells: list[str]
    lines: int
    is_fault: bool


@dataclass(frozen=True)
class _Evidence:
    """What a head has.

    Attributes:
        faults: How many rows break the rules.
        ragged: How many others have not the usual number of cells.
        quoted: How many cells are in quotes.
        needed: How many of these have a delimiter, a line end or a quote in them.
        doubled: How many of them have a doubled quote.
        by_column: How many of the cells of each column are in quotes, and how many are filled.
        names: Whether the first row has a cell in quotes.
    """

    faults: int
    ragged: int
    quoted: int
    needed: int
    doubled: int
    by_column: list[tuple[int, int]]
    names: bool


def choose(head: bytes, dialect: Dialect, whole: bool) -> Dialect:
    """Return the dialect with the way of quoting that the head's rows follow best."""
    text = head.decode("utf-8", errors="replace")
    if not whole:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    dialect = _with_single_quotes(text, dialect)
    dialect = _with_escape(text, dialect)
    if not dialect.quote or dialect.quote not in text or _has_no_fault(text, dialect, whole):
        return dialect
    read = _evidence(text, dialect)
    bare = replace(dialect, quote=None)
    if not read.faults:
        return dialect
    unread = _evidence(text, bare)
    return bare if _is_literal(dialect, read, unread) else dialect


def _has_no_fault(text: str, dialect: Dialect, whole: bool) -> bool:
    """Tell whether all is in order, as far as Python's csv sees it; a quote may be cut open."""
    open_end = "" if whole else dialect.quote or ""
    return cutting.falls_well(text, dialect) or (
        bool(open_end) and cutting.falls_well(text.rstrip("\r\n") + open_end, dialect)
    )


def _is_literal(dialect: Dialect, read: _Evidence, unread: _Evidence) -> bool:
    """Tell whether the quotes are part of the text."""
    if read.needed > read.faults or read.names or unread.ragged > read.ragged:
        return False
    if any(quoted and quoted >= filled - 1 for quoted, filled in read.by_column):
        return False  # all cells of a column are in quotes, but for its name
    return dialect.delimiter == "\t" or read.faults >= _ENOUGH_FAULTS * read.quoted


def _with_single_quotes(text: str, dialect: Dialect) -> Dialect:
    """Return the dialect with single quotes, if these are around cells and there are no others."""
    if dialect.quote is None or dialect.quote in text or text.count(SINGLE) < 4:
        return dialect
    single = replace(dialect, quote=SINGLE)
    read = _evidence(text, single)
    if read.faults or not read.quoted:
        return dialect
    unread = _evidence(text, dialect)
    is_column = any(quoted and quoted == filled for quoted, filled in read.by_column)
    is_better = read.needed > 0 and unread.ragged > read.ragged
    return single if is_better or (is_column and read.names) else dialect


def _with_escape(text: str, dialect: Dialect) -> Dialect:
    """Return the dialect with a backslash as escape, if every one in the text escapes something."""
    if dialect.escape or _ESCAPE not in text:
        return dialect
    signs = re.escape(dialect.delimiter + (dialect.quote or "") + _ESCAPE)
    if re.search(rf"\\(?![{signs}\r\n])", text.replace(_ESCAPE * 2, "")):
        return dialect
    escaped = replace(dialect, escape=_ESCAPE)
    read, unread = _evidence(text, escaped), _evidence(text, dialect)
    if (read.faults, read.ragged) > (unread.faults, unread.ragged):
        return dialect
    is_better = (read.faults, read.ragged) < (unread.faults, unread.ragged)
    # Where quotes within quotes are doubled, a backslash before one is text.
    is_sign = f"{_ESCAPE}{dialect.quote}" in text and not unread.doubled
    return escaped if is_better or is_sign else dialect


def _evidence(text: str, dialect: Dialect) -> _Evidence:
    """Read a text line by line, as a dialect has it."""
    rows = list(_rows(text, dialect))
    if rows and rows[-1].is_fault:
        rows.pop()  # it may as well be cut off
    sound = [row for row in rows if not row.is_fault]
    filled = [row for row in sound if any(row.cells)]
    width = Counter(len(row.cells) for row in filled).most_common(1)[0][0] if filled else 0
    quote = dialect.quote
    columns = [[0, 0] for _ in range(width)]
    quoted = needed = doubled = 0
    for row in filled:
        for place, cell in enumerate(row.cells):
            if place < width and cell:
                columns[place][1] += 1
            if quote and cell.startswith(quote):
                quoted += 1
                needed += _is_needed(cell[1:-1], dialect)
                doubled += quote * 2 in cell[1:-1]
                if place < width:
                    columns[place][0] += 1
    return _Evidence(
        len(rows) - len(sound),
        sum(1 for row in filled if len(row.cells) != width),
        quoted,
        needed,
        doubled,
        [(quoted, filled) for quoted, filled in columns],
        bool(quote and filled and any(cell.startswith(quote) for cell in filled[0].cells)),
    )


def _is_needed(text: str, dialect: Dialect) -> bool:
    """Tell whether a text has to be in quotes."""
    quote = dialect.quote or ""
    return dialect.delimiter in text or "\n" in text or (len(text) > 2 and quote * 2 in text)


def _rows(text: str, dialect: Dialect) -> Iterator[_Row]:
    """Yield the rows of a text; behind a fault it goes on with the next line."""
    if plain.is_unusual(dialect):
        octets, _ = plain.rewrite(text.encode("utf-8", "surrogatepass"), dialect)
        text = octets.decode("utf-8", "surrogatepass")
    cell, end = stray.cell(dialect), len(text)
    begin = position = again = 0
    cells: list[str] = []
    while position < end and again <= _MOST_AGAIN * end:
        found = cell.match(text, position)
        if found is None:
            again += position - begin
            line_end = _LINE_END.search(text, begin)
            position = begin = line_end.end() if line_end else end
            yield _Row([], 1, is_fault=True)
            cells = []
            continue
        cells.append(found[1])
        position = found.end()
        if found[2] == dialect.delimiter and position < end:
            continue
        row = _Row(cells, len(_LINE_END.findall(text, begin, position)) or 1, is_fault=False)
        if row.lines > 1 and _is_swallowed(text[begin:position], row, dialect):
            again += position - begin
            line_end = _LINE_END.search(text, begin)
            position = line_end.end() if line_end else end
            row = _Row([], 1, is_fault=True)
        yield row
        begin, cells = position, []
    for _ in _LINE_END.finditer(text, begin) if position < end else ():
        yield _Row([], 1, is_fault=True)


def _is_swallowed(record: str, row: _Row, dialect: Dialect) -> bool:
    """Tell whether the lines of one cell are rows themselves, of another width than their row."""
    counts = {line.count(dialect.delimiter) + 1 for line in _LINE_END.split(record) if line}
    return len(counts) == 1 and counts != {len(row.cells)} and counts != {1}
