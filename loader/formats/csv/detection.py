"""The first records of a text -> its header, and the Dialect that knows where it is.

In: the first bytes of the UTF-8 text, cut into records, and what the caller declared. Out: a frozen
Dialect that every later step reads, the header's cells, and what is worth a warning. Holds nothing
but the head.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from loader.errors import EmptySource, NotATable, UsageError
from loader.formats.csv import cutting, header, plain, quoting, stray
from loader.formats.csv.cutting import Cut
from loader.formats.csv.declared import Declared
from loader.formats.csv.dialect import Dialect
from loader.formats.csv.kinds import TEXT, kind_of, kind_of_column

# What Excel takes for the delimiter, and writes into the first line for its own kind.
_INSTRUCTION = re.compile(rb'\s*"?sep=(\\t|[^\r\n"])"?[^\S\r\n]*(?=[\r\n]|\Z)', re.IGNORECASE)
_SPACE = 0x20  # what a bare CR became


@dataclass(frozen=True)
class Detected:
    """What the head of a text tells.

    Attributes:
        dialect: How its records and cells are cut.
        headers: The header's cells as written; without a header as many empty ones as the table
            has columns.
        preamble: How many filled records above the header, or the first row, are left out.
        doubts: What was decided, and may be wrong.
    """

    dialect: Dialect
    headers: list[str]
    preamble: int
    doubts: list[str]

    def may_be_row(self, head: bytes) -> Callable[[bytes], bool]:
        """Return what tells whether a line that begins as a comment does may be a row.

        A sign that was found above the table makes no comment of what may be a row far down: it is
        as wide, and begins with a text, as all rows do, or with a value of their kind.

        Args:
            head: The first bytes of the text.
        """
        sign, between = (self.dialect.comment or "").encode(), self.dialect.delimiter.encode()
        if not sign or self.dialect.begin is None or self.dialect.width <= 1:
            return lambda _: False
        lines = head[self.dialect.begin :].splitlines()[: cutting.SNIFFED_RECORDS]
        first = [_first_cell(line, between) for line in lines if not line.startswith(sign)]
        is_text = kind_of_column(first)[0] in ("", TEXT)

        def may_be_row(line: bytes) -> bool:
            if line.count(between) != self.dialect.width - 1:
                return False
            return is_text or kind_of(_first_cell(line[len(sign) :], between)) not in ("", TEXT)

        return may_be_row


def _first_cell(line: bytes, between: bytes) -> str:
    return line.partition(between)[0].decode("utf-8", errors="replace").strip(" \"'")


def read_header(head: bytes, cut: Cut, declared: Declared, whole: bool) -> Detected:
    """Read the header of a text whose dialect was found.

    Args:
        head: The first bytes of the text, UTF-8.
        cut: Its first records.
        declared: What the caller knows already.
        whole: Whether the head is the whole text; if not, its last record may be cut.

    Raises:
        EmptySource: There is no record at all, or none with anything in it.
        NotATable: Rows may stand in the header.
        UsageError: The header row asked for is not there.
    """
    if declared.header_row is not None and declared.header_row > cutting.SNIFFED_RECORDS:
        cut = cutting.cut(head, cut.dialect, whole, declared.header_row)
    _refuse_nothing(head, cut, whole)
    is_given = declared.header_row is not None
    found = _with_given_header(cut, declared) if is_given else _with_header(cut, whole)
    _refuse_rows_in_the_header(head, cut, found.dialect.header_row)
    return found


def without_instruction(head: bytes, declared: Declared) -> tuple[bytes, Declared, int]:
    """Take Excel's instruction out of the first line, which stays as a blank one.

    Returns:
        The rest, what is known with it, and how many bytes it has.
    """
    found = _INSTRUCTION.match(head)
    if found is None:
        return head, declared, 0
    if declared.delimiter is None:
        delimiter = "\t" if found[1] == rb"\t" else found[1].decode()
        declared = replace(declared, delimiter=delimiter)
    return head[found.end() :], declared, found.end()


def below_instruction(found: Detected, instruction: int) -> Detected:
    """Return what was found below an instruction of so many bytes, as of the whole text."""
    if not instruction:
        return found
    begin = (found.dialect.begin or 0) + instruction
    above = max(1, found.dialect.above) if not found.dialect.header_row else 0
    dialect = replace(found.dialect, begin=begin, above=above)
    return replace(found, dialect=dialect, preamble=found.preamble + 1)


def _refuse_nothing(head: bytes, cut: Cut, whole: bool) -> None:
    """Refuse a text without a record."""
    if not any(cut.records) and not whole:
        raise NotATable(
            f"the first row is longer than {len(head) >> 10} KiB",
            hint="is it a CSV table, and does each row end in a newline?",
        )
    if not any(cut.records):
        raise EmptySource("the file is empty", hint="was the upload or export complete?")
    if _is_blank(cut):
        raise EmptySource(
            "the file has nothing in it but delimiters, quotes and spaces",
            hint="was the upload or export complete?",
        )


def _is_blank(cut: Cut) -> bool:
    """Tell whether no cell has anything in it, be it one of spaces."""
    if any(cell.strip() for record in cut.records for cell in record):
        return False
    written = cut.text.replace(cut.dialect.delimiter, "")
    return not written.replace(cut.dialect.quote or "\n", "").strip()


def _with_header(cut: Cut, whole: bool) -> Detected:
    """Find the header's row, or that there is none."""
    dialect, records = cut.dialect, cut.records
    found = header.find(records, dialect.width)
    mended = _mended(cut, found.row, whole) if found.row else None
    if mended is not None:
        return mended
    preamble = sum(1 for record in records[: found.above - (found.row > 0)] if record)
    preamble += _comments_above(cut, found.above)
    doubts = []
    if found.row == 0:
        headers = [""] * dialect.width
        doubts.append("no header was found: the first row is one of values, as those below it")
    else:
        headers = records[found.row - 1]
        if cutting.lacks_row_names(cut, found.row - 1):
            headers = ["", *headers]
    begin = cut.begin(found.above)
    dialect = replace(dialect, header_row=found.row, above=found.above, begin=begin)
    if found.row:
        dialect = replace(dialect, above=0)
    return Detected(dialect, headers, preamble, doubts)


def _mended(cut: Cut, row: int, whole: bool) -> Detected | None:
    """Read a header of which a stray quote has taken rows: it ends with its first line."""
    dialect, quote = cut.dialect, cut.dialect.quote
    begin, end = cut.begin(row - 1), cut.begin(row)
    record = cut.octets[begin:end]
    if not quote or dialect.width <= 1 or not stray.has_taken_rows(record, dialect):
        return None
    line = record.splitlines(keepends=True)[0]
    below = cutting.cut(cut.octets[begin + len(line) :], dialect, whole)
    dialect = replace(dialect, width=cutting.table_width(below.records))
    text = line.decode("utf-8", errors="replace")
    names = next(replace(dialect, quote=None).records(text), [])
    if len(names) != dialect.width:
        return None
    headers = [_unquoted(name, quote) for name in names]
    preamble = sum(1 for record in cut.records[: row - 1] if record)
    doubts = [f"a quote in the header, row {row}, is never closed: it was taken as text"]
    dialect = replace(dialect, header_row=row, begin=begin + len(line))
    return Detected(dialect, headers, preamble, doubts)


def _unquoted(name: str, quote: str) -> str:
    is_quoted = len(name) > 1 and name.startswith(quote) and name.endswith(quote)
    return name[1:-1].replace(quote * 2, quote) if is_quoted else name


def _comments_above(cut: Cut, records: int) -> int:
    """Count the lines of comment above a record: they are rows left out, and no blank lines."""
    if not cut.dialect.comment or not records:
        return 0
    above = cut.octets[: cut.begin(records)]
    _, comments = plain.rewrite(above, replace(cut.dialect, universal_newlines=True))
    return comments


def _refuse_rows_in_the_header(head: bytes, cut: Cut, row: int) -> None:
    """Refuse a header with a CR that ends no record: rows may stand behind it.

    Of any other row, ``table`` finds that out.
    """
    if cut.dialect.universal_newlines or not row or b"\r" not in head:
        return
    start, stop = cut.begin(row - 1), cut.begin(row)
    octets = np.frombuffer(head, np.uint8)
    returns = quoting.Walk(octets, cut.dialect).all(quoting.returns)
    bare = returns[quoting.is_bare(octets, returns)]
    of_header = bare[(bare >= start) & (bare < stop - 1)]
    if (np.frombuffer(cut.octets, np.uint8)[of_header] == _SPACE).any():
        raise NotATable(
            "the header has a carriage return outside quotes, behind which rows may stand",
            row=row,
            hint="let all rows end in the same way, or put the cell into quotes",
        )


def _with_given_header(cut: Cut, declared: Declared) -> Detected:
    """Take the row that the caller has named."""
    dialect, records, row = cut.dialect, cut.records, declared.header_row or 0
    if row == 0:
        width = cutting.usual_width(records[declared.above :] or records)
        above = declared.above
        dialect = replace(dialect, header_row=0, above=above, begin=cut.begin(above))
        return Detected(dialect, [""] * width, sum(map(bool, records[:above])), [])
    if row > len(records) or not records[row - 1]:
        raise UsageError(
            f"the header row {row} is not there or is blank",
            hint="rows are counted from 1, blank lines included",
            option="header_row",
        )
    dialect = replace(dialect, header_row=row, begin=cut.begin(row))
    return Detected(dialect, records[row - 1], 0, [])
