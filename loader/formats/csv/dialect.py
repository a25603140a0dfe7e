"""The head of the text -> a Dialect: delimiter, quote, header row.

In: the first bytes of the UTF-8 text, and what the caller declared (options or a frictionless
Dialect descriptor). Out: a frozen Dialect that every later step reads, and the header's cells.
Holds nothing but the head it was given.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loader.errors import EmptySource, NotATable, UsageError
from loader.formats.csv import other_kinds, quoting, reader

DELIMITERS = (",", ";", "\t", "|")
_DELIMITER_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
_SNIFFED_RECORDS = 100
# A preamble is looked for in this many records only: after them the table has begun.
_PREAMBLE_RECORDS = 30
_CSV_PROPERTIES = {"delimiter", "lineTerminator", "quoteChar", "doubleQuote", "escapeChar"}
_PROPERTIES = {"header", "headerRows", "csv"}
_ANNOTATIONS = {"type", "name", "title", "description", "$schema", "profile"}
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
LONG_CHARACTERS = 4 << 20  # more than a usual block has
_LF, _CR, _SPACE = b"\n\r "
# No text has them. ESC is not among them: logs have it before the colours of a terminal.
_BINARY = re.compile(r"[\x01-\x08\x0e-\x1a]")


@dataclass(frozen=True)
class Dialect:
    """How records and cells are cut.

    ``delimiter``, ``quote`` and ``escape`` are single ASCII characters. ``header_row`` is the
    record that names the columns, counted from 1 in the file with blank lines; 0 means that
    there is none. ``universal_newlines`` is true when records end in a bare CR. ``line_end`` is
    LF or CRLF: what most records end in, and what COPY is given. ``width`` is how many cells
    most records have: where a text whose records end in LF has as many on both sides of a bare
    CR, that ends a record too; 0, or one cell, prove nothing.
    """

    delimiter: str = ","
    quote: str | None = '"'
    double_quote: bool = True
    escape: str | None = None
    header_row: int = 1
    universal_newlines: bool = False
    line_end: str = "\n"
    width: int = 0

    def records(self, text: str, *, strict: bool = False) -> Iterator[list[str]]:
        """Yield the cells of every record; a blank line is an empty list.

        Args:
            text: Whole records. A NUL in them is shown as U+FFFD: Python 3.10's csv refuses it.
            strict: Whether to raise reader.Error for what follows a closing quote. Arrow, and by
                default this, takes it as part of the cell.
        """
        return reader.read(
            _lines(text.replace("\0", "\ufffd")),
            strict=strict,
            delimiter=self.delimiter,
            quotechar=self.quote,
            doublequote=self.double_quote,
            escapechar=self.escape,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )

    def to_descriptor(self) -> dict[str, object]:
        """Return the frictionless Dialect descriptor."""
        properties: dict[str, object] = {"delimiter": self.delimiter}
        if self.quote != '"':
            properties["quoteChar"] = self.quote or ""
        if not self.double_quote:
            properties["doubleQuote"] = False
        if self.escape:
            properties["escapeChar"] = self.escape
        descriptor: dict[str, object] = {"csv": properties}
        if self.header_row == 0:
            descriptor["header"] = False
        elif self.header_row > 1:
            descriptor["headerRows"] = [self.header_row]
        return descriptor


def _lines(text: str) -> Iterable[str]:
    """Return what is cut at LF, CR and CRLF, ends included."""
    if len(text) < LONG_CHARACTERS:
        return io.StringIO(text, newline="")  # the faster one; takes four bytes a character
    return (line[0] for line in _LINE.finditer(text))


@dataclass(frozen=True)
class Declared:
    """What the caller says of the dialect; None means: find it."""

    delimiter: str | None = None
    quote: str | None = '"'
    double_quote: bool = True
    escape: str | None = None
    header_row: int | None = None


def declare(
    descriptor: Mapping[str, object] | None,
    delimiter: str | None = None,
    header_row: int | None = None,
) -> Declared:
    """Merge a frictionless Dialect descriptor with the options, which win.

    Raises:
        UsageError: A property that the loader does not know, or a value that cannot be.
    """
    descriptor = descriptor or {}
    properties = _csv_properties(descriptor)
    if header_row is None:
        header_row = _declared_header_row(descriptor)
    elif header_row < 0:
        raise UsageError(
            "the header row is counted from 1; 0 means that there is none", option="header_row"
        )
    if delimiter is None:
        given = properties.get("delimiter")
    else:
        given = _DELIMITER_NAMES.get(delimiter, delimiter)
    quote = _character(properties.get("quoteChar", '"'), "quoteChar")
    escape = _character(properties.get("escapeChar"), "escapeChar")
    double_quote = _boolean(properties, "doubleQuote", default=True)
    if escape is not None and escape == quote:
        # Some tools say that a quote escapes itself where others say that it is doubled.
        double_quote, escape = True, None
    declared = Declared(_delimiter(given), quote, double_quote, escape, header_row)
    if declared.delimiter is not None and declared.delimiter in (quote, escape):
        raise UsageError("the dialect's delimiter, quote and escape must differ")
    return declared


def detect(head: bytes, declared: Declared, whole: bool) -> tuple[Dialect, list[str], int]:
    """Find the dialect and read the header.

    Args:
        head: The first bytes of the text, UTF-8.
        declared: What the caller knows already.
        whole: Whether the head is the whole text; if not, its last record may be cut.

    Returns:
        The dialect, the header's cells as written (without a header row as many empty ones as
        the table has columns), and how many filled records above it are skipped as a preamble.

    Raises:
        EmptySource: There is no record at all, or none with anything in it.
        NotATable: The text is another kind of document, or rows may stand in its header.
        UsageError: The header row asked for is not there.
    """
    other_kinds.refuse(head.decode("utf-8", errors="replace"), whole)
    tried = _find_delimiter(head, declared, whole)
    dialect, records = tried.dialect, tried.records
    if declared.header_row is not None and declared.header_row > _SNIFFED_RECORDS:
        records = _first_records(tried.text, dialect, whole, declared.header_row)
    if not any(records) and not whole:
        raise NotATable(
            f"the first row is longer than {len(head) >> 10} KiB",
            hint="is it a CSV table, and does each row end in a newline?",
        )
    if not any(records):
        raise EmptySource("the file is empty", hint="was the upload or export complete?")
    if _is_blank(tried):
        raise EmptySource(
            "the file has nothing in it but delimiters, quotes and spaces",
            hint="was the upload or export complete?",
        )
    if declared.header_row is not None:
        found = _with_given_header(dialect, records, declared.header_row)
    else:
        header_row = _find_header(records)
        skipped = sum(1 for record in records[: header_row - 1] if record)
        headers = records[header_row - 1]
        if _lacks_row_names(headers, records[header_row:], tried):
            headers = ["", *headers]
        found = replace(dialect, header_row=header_row), headers, skipped
    _refuse_rows_in_the_header(head, found[0], whole)
    return found


def _lacks_row_names(headers: Sequence[str], below: Sequence[Sequence[str]], tried: _Tried) -> bool:
    """Tell whether a header is R's, which names the columns but not that of the rows' names.

    ``write.table`` puts all of these names into quotes. Without them, a cell too many in each row
    may as well be a delimiter inside of a text.
    """
    rows = [record for record in below if record]
    if not rows or any(len(record) != len(headers) + 1 for record in rows):
        return False
    quote, delimiter = tried.dialect.quote, tried.dialect.delimiter
    names = [record[0] for record in rows]
    if not quote or len(set(names)) < len(names):
        return False
    are_quoted = all(f"{quote}{name}{quote}" in tried.text for name in headers)
    return are_quoted and all(f"{quote}{name}{quote}{delimiter}" in tried.text for name in names)


def refuse_controls(headers: Sequence[str]) -> None:
    """Refuse a header with control characters that no text has, ESC aside.

    Raises:
        NotATable: It is a binary file that has line ends by chance.
    """
    if any(map(_BINARY.search, headers)):
        raise other_kinds.no_text()


def _refuse_rows_in_the_header(head: bytes, dialect: Dialect, whole: bool) -> None:
    """Refuse a header with a CR that ends no record: rows may stand behind it.

    Of any other row, ``table`` finds that out.
    """
    if dialect.universal_newlines or not dialect.header_row or b"\r" not in head:
        return
    octets = np.frombuffer(head, np.uint8)
    newlines = quoting.Walk(octets, dialect).all(quoting.newlines)
    ending = quoting.ending_returns(octets, dialect, newlines, whole)
    ends = np.sort(np.concatenate((newlines, ending)))[: dialect.header_row]
    start = ends[dialect.header_row - 2] + 1 if dialect.header_row > 1 else 0
    stop = ends[dialect.header_row - 1] if len(ends) >= dialect.header_row else len(octets)
    returns = quoting.Walk(octets, dialect).all(quoting.returns)
    bare = np.setdiff1d(returns[quoting.is_bare(octets, returns)], ending)
    if ((bare >= start) & (bare < stop)).any():
        raise NotATable(
            "the header has a carriage return outside quotes, behind which rows may stand",
            row=dialect.header_row,
            hint="let all rows end in the same way, or put the cell into quotes",
        )


def _refuse_unknown(given: Mapping[str, object], known: set[str], prefix: str) -> None:
    for name in given:
        if name not in known:
            raise UsageError(
                f"the dialect's property '{prefix}{name}' is not supported",
                hint=f"supported: {', '.join(sorted(_PROPERTIES | _CSV_PROPERTIES))}",
                option="dialect",
            )


def _csv_properties(descriptor: Mapping[str, object]) -> Mapping[str, object]:
    """Return the properties of the CSV, which Data Package's flat form has at the top level."""
    properties = descriptor.get("csv") or {}
    if not isinstance(properties, Mapping):
        raise UsageError("the dialect's 'csv' is not an object")
    _refuse_unknown(descriptor, _PROPERTIES | _CSV_PROPERTIES | _ANNOTATIONS, "")
    _refuse_unknown(properties, _CSV_PROPERTIES | _ANNOTATIONS, "csv.")
    return {**{k: v for k, v in descriptor.items() if k in _CSV_PROPERTIES}, **properties}


def _declared_header_row(descriptor: Mapping[str, object]) -> int | None:
    if not _boolean(descriptor, "header", default=True):
        return 0
    rows = descriptor.get("headerRows")
    if rows is None:
        return None
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], int) or rows[0] < 1:
        raise UsageError("the dialect's 'headerRows' must be one row, counted from 1")
    return rows[0]


def _boolean(properties: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = properties.get(name, default)
    if not isinstance(value, bool):
        raise UsageError(f"the dialect's '{name}' must be true or false, not {value!r}")
    return value


def _delimiter(value: object) -> str | None:
    delimiter = _character(value, "delimiter")
    # It stands in COPY's CSV too, behind the digits of _id.
    if delimiter is not None and (delimiter.isalnum() or delimiter == '"'):
        raise UsageError("the dialect's 'delimiter' must be no letter or digit, nor a double quote")
    return delimiter


def _character(value: object, name: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
        raise UsageError(
            f"the dialect's '{name}' must be a single ASCII character, not {value!r}",
            hint="for example ',' ';' '|' or 'tab'",
            option="dialect",
        )
    return value


def _is_blank(tried: _Tried) -> bool:
    """Tell whether no cell has anything in it, be it one of spaces."""
    if any(cell.strip() for record in tried.records for cell in record):
        return False
    written = tried.text.replace(tried.dialect.delimiter, "")
    return not written.replace(tried.dialect.quote or "\n", "").strip()


def _find_delimiter(head: bytes, declared: Declared, whole: bool) -> _Tried:
    """Return the head cut with the delimiter declared, or the one that fits best."""
    dialect = Dialect(
        quote=declared.quote, double_quote=declared.double_quote, escape=declared.escape
    )
    delimiters = (declared.delimiter,) if declared.delimiter else DELIMITERS
    tried = [_tried(head, replace(dialect, delimiter=delimiter), whole) for delimiter in delimiters]
    best = tried[0] if len(tried) == 1 else max(tried, key=lambda cut: cut.score)
    return replace(best, dialect=replace(best.dialect, line_end=_usual_end(head, best.dialect)))


def _usual_end(head: bytes, dialect: Dialect) -> str:
    """Return what most records end in, LF or CRLF."""
    if b"\r" not in head or dialect.universal_newlines:
        return "\n"
    octets = np.frombuffer(head, np.uint8)
    newlines = quoting.Walk(octets, dialect).all(quoting.newlines)
    in_crlf = np.count_nonzero(octets[np.maximum(newlines, 1) - 1] == _CR)
    return "\r\n" if 2 * in_crlf > len(newlines) else "\n"


def _first_records(
    text: str, dialect: Dialect, whole: bool, limit: int = _SNIFFED_RECORDS
) -> list[list[str]]:
    records = list(itertools.islice(dialect.records(text), limit + 1))
    return records if whole and len(records) <= limit else records[:-1]


@dataclass(frozen=True)
class _Tried:
    """The head as a dialect cuts it.

    Attributes:
        dialect: Without the header's row.
        text: As Python's csv, for which every CR ends a record, is to read it.
        records: The first ones.
    """

    dialect: Dialect
    text: str
    records: list[list[str]]

    @property
    def consistency(self) -> tuple[bool, float]:
        """Whether the header is as wide as most records, and the share of these.

        One cell proves nothing, and neither does one record: so looks what is cut in too few
        places. What is cut in too many has a header that differs.
        """
        widths = [len(record) for record in self.records if record]
        width = self.dialect.width
        alike = widths.count(width)
        if width <= 1 or alike <= 1:
            return False, 0.0
        header = self.records[_find_header(self.records) - 1]
        return len(header) == width, (alike - 1) / len(widths)

    @property
    def score(self) -> tuple[bool, float, int]:
        """How well the delimiter fits: it gives the most records one and the same width, above 1.

        One after which the quotes fall as they should wins over all others.
        """
        widths = [len(record) for record in self.records if record]
        width = self.dialect.width
        if width <= 1:
            return False, 0.0, width
        well = _quotes_fall_well(self.text, self.dialect, len(self.records))
        return well, widths.count(width) / len(widths), width


def _tried(head: bytes, dialect: Dialect, whole: bool) -> _Tried:
    """Cut the head with a delimiter, at the line ends that are found with it."""
    if head.count(b"\r") == head.count(b"\r\n"):
        return _with_width(head, dialect, whole)
    octets = np.frombuffer(head, np.uint8)
    newlines = quoting.Walk(octets, dialect).all(quoting.newlines)
    returns = quoting.Walk(octets, dialect).all(quoting.returns)
    bare = returns[quoting.is_bare(octets, returns)]
    if not len(newlines) and not len(bare):  # a quote opens in the first cells: all is inside
        newlines = np.flatnonzero(octets == _LF)
        bare = returns = np.flatnonzero(octets == _CR)
    if not len(bare):
        return _cut_at_newlines(octets, dialect, whole)
    universal = replace(dialect, universal_newlines=True)
    by_returns = _with_width(head, universal, whole)
    if not len(newlines):
        return by_returns
    by_newlines = _cut_at_newlines(octets, dialect, whole)
    if by_returns.dialect.width != by_newlines.dialect.width:
        again = _cut_at_newlines(octets, dialect, whole, by_returns.dialect.width)
        by_newlines = max(by_newlines, again, key=lambda tried: tried.consistency)
    if _ending_rows(octets, newlines) > len(bare):
        return by_newlines
    # Cells of several lines each may lack their quotes.
    best = max(by_returns, by_newlines, key=lambda tried: tried.consistency)
    if len(newlines) > len(bare) and not best.consistency[0]:
        return by_newlines
    return best


def _ending_rows(octets: quoting.Octets, newlines: quoting.Offsets) -> int:
    """Count the newlines that end rows: that of a blank line does not tell what rows end in."""
    return int(np.count_nonzero(octets[np.maximum(newlines, 1) - 1] != _LF))


def _cut_at_newlines(
    octets: quoting.Octets, dialect: Dialect, whole: bool, width: int | None = None
) -> _Tried:
    """Cut the head where records end in LF, or CRLF; and in some places, it may be, in CR.

    Without a width given it is that of most records that end in LF.
    """
    returns = quoting.Walk(octets, dialect).all(quoting.returns)
    returns = returns[octets[np.minimum(returns + 1, len(octets) - 1)] != _LF]
    spaced = octets.copy()
    spaced[returns] = _SPACE
    tried = _with_width(spaced.tobytes(), dialect, whole)
    if width is not None:
        tried = replace(tried, dialect=replace(dialect, width=width))
    newlines = quoting.Walk(octets, dialect).all(quoting.newlines)
    ending = quoting.ending_returns(octets, tried.dialect, newlines, whole)
    if not len(ending):
        return tried
    spaced[ending] = _LF
    text = spaced.tobytes().decode("utf-8", errors="replace")
    return replace(tried, text=text, records=_first_records(text, tried.dialect, whole))


def _with_width(head: bytes, dialect: Dialect, whole: bool) -> _Tried:
    text = head.decode("utf-8", errors="replace")
    records = _first_records(text, dialect, whole)
    width = _usual_width(records) if any(records) else 0
    return _Tried(replace(dialect, width=width), text, records)


def _quotes_fall_well(text: str, dialect: Dialect, limit: int) -> bool:
    """Tell whether every closing quote of the first records ends its cell."""
    try:
        for _ in itertools.islice(dialect.records(text, strict=True), limit):
            pass
    except reader.Error:
        return False
    return True


def _find_header(records: list[list[str]]) -> int:
    """Return the header's record, counted from 1: the first that fills half the table's width.

    Titles and notes above a table fill a cell or two of it, padded or not; a header names
    nearly every column. In doubt the first filled record is the header.
    """
    width = _usual_width(records)
    for number, record in enumerate(records[:_PREAMBLE_RECORDS], start=1):
        filled = sum(1 for cell in record if cell.strip())
        # Half is enough for an unnamed column beside a named one, not for a title above two.
        if 2 * filled > width or (2 * filled == width and len(record) >= width):
            return number
    return next(number for number, record in enumerate(records, start=1) if record)


def _usual_width(records: list[list[str]]) -> int:
    return Counter(len(record) for record in records if record).most_common(1)[0][0]


def _with_given_header(
    dialect: Dialect, records: list[list[str]], header_row: int
) -> tuple[Dialect, list[str], int]:
    if header_row == 0:
        return replace(dialect, header_row=0), [""] * _usual_width(records), 0
    if header_row > len(records) or not records[header_row - 1]:
        raise UsageError(
            f"the header row {header_row} is not there or is blank",
            hint="rows are counted from 1, blank lines included",
            option="header_row",
        )
    return replace(dialect, header_row=header_row), records[header_row - 1], 0
