"""A column's cells -> whether Postgres gives them back as they are, for each type.

In: Arrow strings, null for an empty cell. Out: yes or no, and which cell is the first that does
not fit. Every value of every row is checked. What fits stays the very text that was in the file,
because that is what comes back: ``15.30`` keeps its zero, and ``007``, ``+5``, ``1e5`` or ``-0``
do not fit a number at all. A truth value and a moment come back as Postgres writes them: ``TRUE``
in lower case, ``.250`` of a second without its last zero. Holds the block's cells once more.

The checks match one regular expression against a whole column joined by newlines: 30 ns a value,
where one match for each value takes 60 to 140.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

MAX_NUMBER_CHARACTERS = 1000  # numeric holds 131,072 digits, a lexeme 2,046
_SAFE_BIGINT_CHARACTERS = 18  # so many always fit 64 bits
# Without -0 and -0.0: Postgres drops their sign.
_INTEGER = r"(?:0|-?[1-9][0-9]*)"
_NUMBER = r"(?:(?:0|-?[1-9][0-9]*)(?:\.[0-9]+)?|-0\.0*[1-9][0-9]*)"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_OFFSET = r"(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
_TIMESTAMPTZ = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?" + _OFFSET
)
# A day of the calendar, which Arrow would check in a column. RE2 has to be told.
_DAY = (
    r"(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29)"
)
_MAX_JSON_DEPTH = 500  # Python 3.10 reads 990, Postgres's stack holds some thousands
_JSON_MARK = re.compile(r'\\.|["{}[\]]', re.DOTALL)
_BOOLEANS = ("true", "false", "True", "False", "TRUE", "FALSE")


@dataclass(frozen=True)
class Check:
    """Which cells a type has.

    Attributes:
        fits: Tells whether every cell, nulls aside, comes back from Postgres as it is.
        pattern: Matches one cell, in RE2's syntax. It may match less than ``fits`` accepts: what
            it leaves out is only checked more slowly. Of what may be a delimiter it may match
            ``-``, ``:``, ``.``, ``+`` and the space, and neither quotes nor line ends. None if
            there is no such expression: then no block is verified by one match.
    """

    fits: Callable[[pa.StringArray], bool]
    pattern: str | None = None

    def first_misfit(self, cells: pa.StringArray) -> int:
        """Return the index of the first cell that does not fit, of an array that does not."""
        low, high = 0, len(cells)
        while high - low > 1:
            middle = (low + high) // 2
            if self.fits(cells[low:middle]):
                low = middle
            else:
                high = middle
        return low


def all_match(cells: pa.StringArray, pattern: str) -> bool:
    """Tell whether every cell, nulls aside, is matched whole.

    Args:
        cells: A column of one block.
        pattern: In RE2's syntax, of one line.
    """
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
    return all_match(cells, _INTEGER) and (
        _longest(cells) <= _SAFE_BIGINT_CHARACTERS or _casts(cells, pa.int64())
    )


def _is_integer(cells: pa.StringArray) -> bool:
    return all_match(cells, _INTEGER) and _longest(cells) <= MAX_NUMBER_CHARACTERS


def _is_numeric(cells: pa.StringArray) -> bool:
    return all_match(cells, _NUMBER) and _longest(cells) <= MAX_NUMBER_CHARACTERS


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
    return all_match(cells, _TIME)


def _is_timestamp(cells: pa.StringArray) -> bool:
    # Arrow checks the calendar and takes some forms more, which differ by their lengths: only
    # YYYY-MM-DD, ...HH:MM, ...HH:MM:SS and ...HH:MM:SS.f have these.
    lengths = pc.unique(pc.binary_length(cells.drop_null())).to_pylist()
    usual = all(length in (10, 16, 19) or length > 20 for length in lengths)
    return usual and _casts(cells, pa.timestamp("us")) and not _has_year_zero(cells)


def _is_timestamptz(cells: pa.StringArray) -> bool:
    return (
        all_match(cells, _TIMESTAMPTZ)
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


def _is_text(cells: pa.StringArray) -> bool:  # noqa: ARG001  (every cell is one)
    return True


BIGINT = Check(_is_bigint, r"(?:0|-?[1-9][0-9]{0,17})")
# Of any length, which numeric holds.
INTEGER = Check(_is_integer, r"(?:0|-?[1-9][0-9]{0,30})")
NUMERIC = Check(
    _is_numeric,
    r"(?:(?:0|-?[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?|-0\.0{0,30}[1-9][0-9]{0,30})",
)
BOOLEAN = Check(_is_boolean, rf"(?:{'|'.join(_BOOLEANS)})")
DATE = Check(_is_date, _DAY)
TIME = Check(_is_time, _TIME)
TIMESTAMP = Check(_is_timestamp, rf"{_DAY}(?:[T ]{_TIME})?")
TIMESTAMPTZ = Check(_is_timestamptz, rf"{_DAY}[T ]{_TIME}{_OFFSET}")
JSON = Check(_is_json)
TEXT = Check(_is_text)
