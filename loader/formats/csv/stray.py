"""Quotes that break the rules: where records end in spite of them, and which rows they spoil.

A cell in quotes is followed by a delimiter or a line end. Where it is not, a stray quote has opened
it, and may have taken the lines behind it: then its record ends with its first line, and is set
aside; the lines behind it are rows. So is a record of several lines with too few cells or too many,
if each of its lines has as many delimiters as a row of the table.

In: whole records, or the beginning of the next. Out: their ends; what is wrong with one. Holds one
offset for each record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.errors import UnclosedQuote
from loader.formats.csv import quoting, reader
from loader.formats.csv.dialect import Dialect, lines
from loader.formats.csv.quoting import Octets, Offsets

_LF, _CR = 0x0A, 0x0D
_LINE_END = re.compile(rb"\r\n|\r|\n")
# Each is followed by another walk through what is behind it: the rest is left for rows to be set
# aside as they are, of several lines each.
_MOST_STRAY = 50
# More take more memory, each, than the text has: regular expressions remember every one.
_MOST_QUOTES = 1 << 20
# So few lines of so few cells may as well be the text of a cell that is cut off.
_FEW = 3
_BEHIND_QUOTE = "text after a closing quote"
_UNCLOSED = "a quote opens and is never closed"
_ESCAPES_NOTHING = "a backslash that escapes neither a delimiter nor a quote"


def record_ends(
    data: bytes, dialect: Dialect, at_end: bool, first_row: int, is_longest: bool = False
) -> tuple[Offsets, bool]:
    """Return the offset past each record that is whole in ``data``, which starts a record.

    Args:
        data: UTF-8 bytes.
        dialect: The quote, delimiter, escape and kind of line end.
        at_end: Whether the text ends with ``data``: then a last record needs no line end.
        first_row: The place of the first record, for the error.
        is_longest: Whether no record may be longer than ``data``.

    Returns:
        The offsets, and whether a stray quote has opened one of the records: read together they
        would be cut elsewhere.

    Raises:
        UnclosedQuote: A quote is still open at the end of the text, or an escape.
    """
    before: list[Offsets] = []
    begin = count = 0
    rest = data
    walked = _walked(rest, dialect, at_end)
    while count < _MOST_STRAY and walked.has_several:
        place = _first_stray(rest, walked, at_end or is_longest, dialect)
        if place is None:
            break
        ends = walked.ends
        start = int(ends[place - 1]) if place else 0
        line_end = _LINE_END.search(rest, start)
        stop = line_end.end() if line_end else len(rest)
        before.append(begin + np.append(ends[:place], stop))
        begin, rest = begin + stop, rest[stop:]
        count += 1
        walked = _walked(rest, dialect, at_end)
    ends = walked.ends
    count = sum(map(len, before))
    row = first_row + count + len(ends)
    if walked.is_open and at_end:
        raise unclosed(row, _UNCLOSED)
    if at_end and dialect.escape and _ends_in(rest, dialect.escape.encode()):
        raise UnclosedQuote(
            f"the file ends in {dialect.escape}, behind which an escaped character is to come",
            row=row,
            hint="was the export complete?",
        )
    if at_end and len(rest) and (not len(ends) or ends[-1] < len(rest)):
        ends = np.append(ends, len(rest))
    return (np.concatenate((*before, begin + ends)), True) if before else (ends, False)


def unclosed(row: int, message: str) -> UnclosedQuote:
    """Return the error of a quote that may have taken all that is behind it."""
    return UnclosedQuote(
        message,
        row=row,
        hint="mend the quotes in this row, or name another quote character in the dialect",
        option="dialect",
    )


def is_in_order(data: bytes, dialect: Dialect) -> bool:
    """Tell whether in whole records every quote opens or closes a cell, or is one of two.

    A quote within a cell that has not begun with one is in order, too.
    """
    if _has_odd_escape(data, dialect):
        return False
    if not dialect.quote or dialect.quote.encode() not in data:
        return True
    is_usual = data.count(dialect.quote.encode()) <= _MOST_QUOTES
    if is_usual and _pairs(np.frombuffer(data, np.uint8), dialect):
        return True
    ends = np.array([0, len(data)], np.int32)
    whole = pa.StringArray.from_buffers(1, pa.py_buffer(ends), pa.py_buffer(data))
    return bool(pc.match_substring_regex(whole, _records_pattern(dialect))[0].as_py())


def fault(record: bytes, dialect: Dialect) -> str | None:
    """Return how one record breaks the rules, or None."""
    if dialect.escape and _ends_in(record.rstrip(b"\r\n"), dialect.escape.encode()):
        # The record was ended here; a parser would go on with the next one.
        return f"{dialect.escape} at the end of the row"
    if _has_odd_escape(record, dialect):
        return _ESCAPES_NOTHING
    if not dialect.quote or dialect.quote.encode() not in record:
        return None
    if record.count(dialect.quote.encode()) > _MOST_QUOTES:
        return _fault_of_long(record, dialect)
    place = _fault(record, dialect)
    if place is None:
        return None
    return _UNCLOSED if place == len(record) else _BEHIND_QUOTE


def has_taken_rows(record: bytes, dialect: Dialect) -> bool:
    """Tell whether a record of several lines is several rows.

    What closes its quote is at the beginning of a cell, with text behind it: so it opens one. Or
    the record has not the cells of a row, and each of its lines has.

    Args:
        record: With its line end.
        dialect: Its width tells how many cells a row has.
    """
    quote, between = (dialect.quote or "").encode(), dialect.delimiter.encode()
    if record.count(quote) > _MOST_QUOTES:
        return False
    place = _fault(record, dialect)
    if place is not None and place < len(record):
        before = record[:place].removesuffix(quote)
        return (
            before.endswith((b"\n", b"\r", between))
            and _LINE_END.search(record, 0, place) is not None
        )
    cells = next(iter(dialect.read(lines(record.decode("latin-1")))), [])
    return place is None and len(cells) != dialect.width and _are_rows(record, dialect)


def cell(dialect: Dialect) -> re.Pattern[str]:
    """Return what matches one cell as written, and what is behind it; linear on any text."""
    return _cell(dialect.delimiter, dialect.quote, dialect.double_quote, dialect.escape)


@dataclass(frozen=True)
class _Walked:
    """Where records end.

    Attributes:
        ends: The offset past each line end that ends one.
        is_open: Whether a quote is open behind the last.
        has_several: Whether there are line ends that end none.
    """

    ends: Offsets
    is_open: bool
    has_several: bool


def _walked(data: bytes, dialect: Dialect, at_end: bool) -> _Walked:
    octets = np.frombuffer(data, np.uint8)
    walk = quoting.Walk(octets, dialect)
    last = walk.all(quoting.any_newlines if dialect.universal_newlines else quoting.newlines)
    if dialect.universal_newlines and not at_end and len(last) and last[-1] == len(data) - 1:
        last = last[: -1 if data.endswith(b"\r") else None]  # its LF may be in the next piece
    if b"\r" in data and not dialect.universal_newlines:
        returns = quoting.ending_returns(octets, dialect, last, at_end)
        last = np.sort(np.concatenate((last, returns))) if len(returns) else last
    return _Walked(last + 1, walk.is_open, walk.inside > 0)


def _ends_in(data: bytes, escape: bytes) -> bool:
    """Tell whether the last character is an escape that is not escaped itself."""
    return (len(data) - len(data.rstrip(escape))) // len(escape) % 2 == 1


def _first_stray(data: bytes, walked: _Walked, is_all: bool, dialect: Dialect) -> int | None:
    """Return the first record in which a stray quote has taken lines that are rows."""
    if not dialect.quote or dialect.width <= 1:
        return None
    ends, is_open = walked.ends, walked.is_open and is_all
    stop = len(data) if is_open else int(ends[-1]) if len(ends) else 0
    octets = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(octets[:stop] == (_LF if b"\n" in data else _CR))
    records = np.searchsorted(ends, newlines, side="right")
    several = np.flatnonzero(np.bincount(records, minlength=len(ends)) > 1)
    for place in several.tolist():
        start = int(ends[place - 1]) if place else 0
        if place < len(ends):
            if has_taken_rows(data[start : int(ends[place])], dialect):
                return place
        elif is_open and _has_taken_the_rest(data[start:], dialect):
            return place
    return None


def _has_taken_the_rest(data: bytes, dialect: Dialect) -> bool:
    """Tell whether what is behind a quote that never closes are rows, and enough of them."""
    rows = sum(1 for line in _LINE_END.split(data) if line)
    return rows > 1 and max(rows, dialect.width) > _FEW and _are_rows(data, dialect)


def _are_rows(record: bytes, dialect: Dialect) -> bool:
    """Tell whether every line has the cells of a row, with its quotes or without them."""
    between = dialect.delimiter.encode()
    for line in _LINE_END.split(record):
        if not line or line.count(between) == dialect.width - 1:
            continue
        try:
            cells = list(dialect.read([line.decode("latin-1")], strict=True))
        except reader.Error:
            return False
        if len(cells) != 1 or len(cells[0]) != dialect.width:
            return False
    return True


def _fault_of_long(record: bytes, dialect: Dialect) -> str | None:
    try:
        for _ in dialect.read(lines(record.decode("latin-1")), strict=True):
            pass
    except reader.Error:
        return _BEHIND_QUOTE
    return None


def _fault(record: bytes, dialect: Dialect) -> int | None:
    """Return the offset of the text behind a closing quote; the record's end if none closes."""
    text = record.decode("latin-1")  # a character for each byte
    known = cell(dialect)
    quoted = _quoted(dialect.quote or "", dialect.double_quote, dialect.escape)
    position = 0
    while position < len(text):
        found = known.match(text, position)
        if found is None:
            closed = quoted.match(text, position)
            return closed.end() if closed else len(text)
        position = found.end()
    return None


def _has_odd_escape(data: bytes, dialect: Dialect) -> bool:
    """Tell whether a backslash that was found to be the escape escapes nothing: it may be text."""
    if not dialect.is_guessed or not dialect.escape or dialect.escape.encode() not in data:
        return False
    signs = re.escape(dialect.delimiter + (dialect.quote or "")).encode()
    return re.search(rb"\\(?![" + signs + rb"\r\n])", data.replace(rb"\\", b"")) is not None


def _pairs(octets: Octets, dialect: Dialect) -> bool:
    """Tell whether every other quote opens, and the one behind it closes; or two are a doubled one.

    That is the usual way, and fast to see: only the quotes and what is beside them is looked at.
    """
    if dialect.escape or not dialect.double_quote:
        return False
    at = np.flatnonzero(octets == ord(dialect.quote or ""))
    if len(at) % 2:
        return False
    apart = np.diff(at) > 1
    opening, closing = at[0::2], at[1::2]
    ends = np.array([_LF, _CR, ord(dialect.delimiter)], np.uint8)
    begins = np.isin(octets[np.maximum(opening, 1) - 1], ends) | (opening == 0)
    begins[1:] |= ~apart[1::2]
    last = len(octets) - 1
    stops = np.isin(octets[np.minimum(closing + 1, last)], ends) | (closing == last)
    stops[:-1] |= ~apart[1::2]
    return bool(begins.all() and stops.all())


@lru_cache(maxsize=64)
def _cell(
    delimiter: str, quote: str | None, double_quote: bool, escape: str | None
) -> re.Pattern[str]:
    between, mark = re.escape(delimiter), re.escape(escape or "")
    other = f"[^{between}{mark}\r\n]*"
    text = f"{other}(?:{mark}.{other})*" if mark else other
    if quote:
        text = f"{_in_quotes(quote, double_quote, escape)}|(?!{re.escape(quote)}){text}"
    return re.compile(f"({text})({between}|\r\n|\r|\n|\\Z)", re.DOTALL)


@lru_cache(maxsize=64)
def _quoted(quote: str, double_quote: bool, escape: str | None) -> re.Pattern[str]:
    return re.compile(_in_quotes(quote, double_quote, escape), re.DOTALL)


def _in_quotes(quote: str, double_quote: bool, escape: str | None) -> str:
    """Return the expression of a cell in quotes; unrolled, it is linear where none closes."""
    quote, mark = re.escape(quote), re.escape(escape or "")
    within = f"[^{quote}{mark}]*"
    marks = [f"{mark}."] * bool(mark) + [quote * 2] * double_quote
    more = f"(?:(?:{'|'.join(marks)}){within})*" if marks else ""
    return f"{quote}{within}{more}{quote}"


def _records_pattern(dialect: Dialect) -> str:
    """Return the expression, for RE2, of records of any number of cells."""
    between, quote = re.escape(dialect.delimiter), re.escape(dialect.quote or "")
    mark = re.escape(dialect.escape or "")
    escaped = f"|(?s:{mark}.)" if mark else ""
    doubled = f"|{quote}{quote}" if dialect.double_quote else ""
    text = (
        f"(?:(?:[^{quote}{between}{mark}\\r\\n]{escaped})(?:[^{between}{mark}\\r\\n]{escaped})*)?"
    )
    one = f"(?:{quote}(?:[^{quote}{mark}]{doubled}{escaped})*{quote}|{text})"
    record = f"(?:{one}{between})*{one}"
    return f"^(?:{record}(?:\\r\\n|\\n|\\r))*(?:{record})?$"
