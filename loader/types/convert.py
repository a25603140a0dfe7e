"""Arrow strings -> Arrow strings that Postgres reads as the schema's types, without loss.

Every value of every row is checked. What fits stays the very text that was in the file, because
that is what comes back: ``15.30`` keeps its zero, and ``007``, ``+5``, ``1e5`` or ``-0`` do not
fit a number at all. Only a field declared with a form of its own (``format``, ``decimalChar``,
``trueValues``...) is read by frictionless and written anew. Holds the block's cells once more.

The checks match one regular expression against a whole column joined by newlines: 30 ns a value,
where one match for each value takes 60 to 140.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from frictionless import Field

from loader.types import forms

_MAX_NUMBER_CHARACTERS = 1000  # numeric holds 131,072 digits, a lexeme 2,046
# A number with groups and a currency, or a date in words, is not longer; frictionless takes its
# time over what is.
_MAX_READ_CHARACTERS = 2000
_SAFE_BIGINT_CHARACTERS = 18  # so many always fit 64 bits
# Without -0 and -0.0: Postgres drops their sign.
_INTEGER = r"(?:0|-?[1-9][0-9]*)"
_NUMBER = r"(?:(?:0|-?[1-9][0-9]*)(?:\.[0-9]+)?|-0\.0*[1-9][0-9]*)"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_TIMESTAMPTZ = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
)
_MAX_JSON_DEPTH = 500  # Python 3.10 reads 990, Postgres's stack holds some thousands
_JSON_MARK = re.compile(r'\\.|["{}[\]]', re.DOTALL)
_NUMBER_START = re.compile(r"[-+\d]")
_BOOLEANS = ("true", "false", "True", "False", "TRUE", "FALSE")


def fits(cells: pa.StringArray, kind: str) -> bool:
    """Tell whether every cell comes back from Postgres as it is, as this type.

    A truth value and a moment come back as Postgres writes them: ``TRUE`` in lower case, ``.250``
    of a second without its last zero.

    Args:
        cells: The column of one block; null means an empty cell.
        kind: A Postgres type: bigint, numeric, boolean, date, time, timestamp, timestamptz,
            json or text; or integer, of any length, to be stored as numeric.
    """
    return kind == "text" or _FITS[kind](cells)


def first_misfit(cells: pa.StringArray, kind: str) -> int:
    """Return the index of the first cell that does not fit, of an array that does not."""
    low, high = 0, len(cells)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(cells[low:middle], kind):
            low = middle
        else:
            high = middle
    return low


def empty_to_null(cells: pa.StringArray) -> pa.StringArray:
    """Return the cells with quoted empty ones made null: in typed columns they mean nothing."""
    if pc.min(pc.binary_length(cells)).as_py() == 0:
        return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
    return cells


def missing_to_null(cells: pa.StringArray, missing: pa.StringArray) -> pa.StringArray:
    """Return the cells with the schema's ``missingValues`` made null."""
    is_missing = pc.is_in(cells, value_set=missing, skip_nulls=True)
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), cells)


def read(cells: pa.StringArray, field: Field) -> tuple[pa.StringArray, int | None]:
    """Read cells in a form of the field's own, by frictionless, each distinct value once.

    Args:
        cells: The column of one block; null means an empty cell.
        field: The declared field.

    Returns:
        The values in Postgres's form, and the index of the first cell that the field cannot
        read (None when all could be).
    """
    encoded = cells.dictionary_encode()
    reader = reader_of(field)
    values = [_canonical(reader(text), text) for text in encoded.dictionary.to_pylist()]
    read_cells = pc.take(pa.array(values, pa.string()), encoded.indices)
    lost = np.flatnonzero(
        np.asarray(pc.and_(pc.is_valid(cells), pc.is_null(read_cells)), dtype=bool)
    )
    return read_cells, int(lost[0]) if len(lost) else None


def reader_of(field: Field) -> Callable[[str], object]:
    """Return what reads a value of the field: its type only, as for all other fields.

    It gives None for a text that is no such value, or not all of one.
    """
    descriptor = field.to_descriptor()
    bare = descriptor.pop("bareNumber", True)
    marks = descriptor.get("groupChar", "") + descriptor.get("decimalChar", "")
    plain = Field.from_descriptor(descriptor)
    reader = forms.reader(plain) or plain.create_value_reader()
    if field.type == "boolean":  # its words may be as long as they like
        return reader

    def read(text: str) -> object:
        if len(text) > _MAX_READ_CHARACTERS:
            return None
        return reader(text if bare else bare_number(text, marks))

    return read


def bare_number(text: str, marks: str = "") -> str:
    """Return a number without what stands before and behind it, as ``bareNumber`` means it.

    frictionless does it by an expression that takes a time quadratic in the text's length.

    Args:
        text: The whole cell.
        marks: The groupChar and the decimalChar.

    Returns:
        "" if there is none, or if what stands around it is or may be a part of the number.
    """
    first = _NUMBER_START.search(text)
    end = len(text)
    while end and not text[end - 1].isdecimal():
        end -= 1
    if first is None or not forms.may_stand_around(text[: first.start()], text[end:], marks):
        return ""
    return text[first.start() : end]


def _canonical(value: object, text: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return _written_out(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value) if isinstance(value, int) else text


def _written_out(value: Decimal) -> str | None:
    """Return a number without an exponent; None if it is none, or longer than any may be.

    ``1e999999999`` would take a gigabyte.
    """
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or len(digits) + abs(exponent) > 2 * _MAX_NUMBER_CHARACTERS:
        return None
    return f"{value:f}"


def _all_match(cells: pa.StringArray, pattern: str) -> bool:
    """Tell whether every cell is matched whole."""
    cells = cells.drop_null()
    if not len(cells):
        return True
    column = pa.ListArray.from_arrays(pa.array([0, len(cells)], pa.int32()), cells)
    joined = pc.binary_join(column, "\n")
    if pc.count_substring(joined, "\n")[0].as_py() >= len(cells):
        return False  # a cell has a newline of its own
    return bool(pc.match_substring_regex(joined, f"^{pattern}(?:\n{pattern})*$")[0].as_py())


def _longest(cells: pa.StringArray) -> int:
    return pc.max(pc.binary_length(cells)).as_py() or 0


def _is_bigint(cells: pa.StringArray) -> bool:
    return _all_match(cells, _INTEGER) and (
        _longest(cells) <= _SAFE_BIGINT_CHARACTERS or _casts(cells, pa.int64())
    )


def _is_integer(cells: pa.StringArray) -> bool:
    return _all_match(cells, _INTEGER) and _longest(cells) <= _MAX_NUMBER_CHARACTERS


def _is_numeric(cells: pa.StringArray) -> bool:
    return _all_match(cells, _NUMBER) and _longest(cells) <= _MAX_NUMBER_CHARACTERS


def _casts(cells: pa.StringArray, to: pa.DataType) -> bool:
    try:
        cells.cast(to)
    except pa.ArrowInvalid:
        return False
    return True


def _is_date(cells: pa.StringArray) -> bool:
    # Arrow takes a 10-byte ISO date and nothing else; Postgres has no year 0.
    return _casts(cells, pa.date32()) and not _has_year_zero(cells)


def _is_time(cells: pa.StringArray) -> bool:
    return _all_match(cells, _TIME)


def _is_timestamp(cells: pa.StringArray) -> bool:
    # Arrow checks the calendar and takes some forms more, which differ by their lengths: only
    # YYYY-MM-DD, ...HH:MM, ...HH:MM:SS and ...HH:MM:SS.f have these.
    lengths = pc.unique(pc.binary_length(cells.drop_null())).to_pylist()
    usual = all(length in (10, 16, 19) or length > 20 for length in lengths)
    return usual and _casts(cells, pa.timestamp("us")) and not _has_year_zero(cells)


def _is_timestamptz(cells: pa.StringArray) -> bool:
    return (
        _all_match(cells, _TIMESTAMPTZ)
        and _casts(cells, pa.timestamp("us", "UTC"))
        # Its hours are before our era in some zone.
        and not pc.any(pc.starts_with(cells, "0001-01-01"), min_count=0).as_py()
        and not _has_year_zero(cells)
    )


def _has_year_zero(cells: pa.StringArray) -> bool:
    return bool(pc.any(pc.starts_with(cells, "0000"), min_count=0).as_py())


def _is_boolean(cells: pa.StringArray) -> bool:
    known = pc.is_in(cells.drop_null(), value_set=pa.array(_BOOLEANS))
    return bool(pc.all(known, min_count=0).as_py())


def _is_json(cells: pa.StringArray) -> bool:
    return all(_is_json_text(text) for text in cells.drop_null().to_pylist())


def _is_json_text(text: str) -> bool:
    if not text.startswith(("{", "[")) or "\\u0000" in text:
        return False  # Postgres stores no NUL
    if text.count("{") + text.count("[") > _MAX_JSON_DEPTH and _depth(text) > _MAX_JSON_DEPTH:
        return False
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:
            # Half of a surrogate pair is no text, and Postgres refuses it when it is asked for.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _depth(text: str) -> int:
    """Return how deep brackets are nested, outside of JSON's strings."""
    depth = deepest = 0
    in_string = False
    for mark in _JSON_MARK.finditer(text):
        if mark[0] == '"':
            in_string = not in_string
        elif not in_string:
            depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(mark[0], 0)
            deepest = max(deepest, depth)
    return deepest


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


_FITS: dict[str, Callable[[pa.StringArray], bool]] = {
    "bigint": _is_bigint,
    "integer": _is_integer,
    "numeric": _is_numeric,
    "boolean": _is_boolean,
    "date": _is_date,
    "time": _is_time,
    "timestamp": _is_timestamp,
    "timestamptz": _is_timestamptz,
    "json": _is_json,
}
