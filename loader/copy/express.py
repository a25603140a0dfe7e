"""Block -> COPY CSV without taking it apart, where all its records are in order.

A schema is a regular language: one expression says what every cell of a record may be, and one
match of it, at 250 MB/s, verifies all rows and columns of a block at once. Such a block goes to
Postgres as it came, with ``_id`` in front of each record. Any other block (ragged rows, a stray
quote, bad UTF-8, a value that does not fit, 29 February in 1900) goes the long way, which finds
out what is wrong with it. On ``taxi`` the long way takes four times the client's CPU time.

Holds the block once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.copy import encode
from loader.formats.csv.blocks import Block
from loader.formats.csv.dialect import Dialect
from loader.types.schema import Column

# The expression's automaton grows with the columns, and above 8 MiB RE2 gives it up.
_MOST_COLUMNS = 150
_QUOTE = '"'
# Postgres stores neither these nor NUL; RE2 matches nothing else that is not UTF-8.
_SURROGATES = r"\x{D800}-\x{DFFF}"
_DATE = (
    r"(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29)"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
# Subsets of what ``convert.fits`` accepts: what they leave out is only slower, not lost.
_CELLS = {
    "bigint": r"(?:0|-?[1-9][0-9]{0,17})",
    "integer": r"(?:0|-?[1-9][0-9]{0,30})",
    "numeric": r"(?:(?:0|-?[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?|-0\.0{0,30}[1-9][0-9]{0,30})",
    "boolean": r"(?:true|false|True|False|TRUE|FALSE)",
    "date": _DATE,
    "time": _CLOCK,
    "timestamp": rf"{_DATE}(?:[T ]{_CLOCK})?",
    "timestamptz": rf"{_DATE}[T ]{_CLOCK}(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)",
}


class Express:
    """Verifies and encodes whole blocks for one schema.

    Args:
        columns: With their final types.
        dialect: How the source's cells are cut; COPY cuts them in the same way.
        missing: The schema's ``missingValues``; with others than '' all goes the long way.
    """

    def __init__(
        self, columns: Sequence[Column], dialect: Dialect, missing: Sequence[str] = ("",)
    ) -> None:
        self._delimiter = dialect.delimiter
        self._expression = None if any(missing) else _expression(columns, dialect)

    def encode(
        self, block: Block, vectors: Callable[[], pa.StringArray | None] = lambda: None
    ) -> list[memoryview] | None:
        """Return the block's COPY text, or None if it must go the long way.

        Args:
            block: Whole records.
            vectors: Called once they are verified: their ``_full_text``, if the COPY has it.
        """
        if self._expression is None or len(block.ends) != block.rows:
            return None
        data = pa.py_buffer(block.data)
        whole = pa.StringArray.from_buffers(1, _offsets(np.array([len(block.data)])), data)
        if not pc.match_substring_regex(whole, self._expression)[0].as_py():
            return None
        records = pa.StringArray.from_buffers(block.rows, _offsets(block.ends), data)
        ids = np.arange(block.first_id, block.first_id + block.rows)
        leading = encode.leading(ids, self._delimiter, vectors())
        lines = pc.binary_join_element_wise(leading, records, self._delimiter)
        return [memoryview(lines.buffers()[2])]


def _expression(columns: Sequence[Column], dialect: Dialect) -> str | None:
    """Return the expression for any number of records, or None if there can be none."""
    usual = (dialect.quote, dialect.double_quote, dialect.escape) == (_QUOTE, True, None)
    if not usual or dialect.universal_newlines or len(columns) > _MOST_COLUMNS:
        return None
    cells = [_cell(column, dialect.delimiter) for column in columns]
    known = [cell for cell in cells if cell]
    if len(known) < len(cells):
        return None
    return f"^(?:{re.escape(dialect.delimiter).join(known)}{dialect.line_end})*$"


def _cell(column: Column, delimiter: str) -> str | None:
    if column.type == "text":
        other = rf"\x00{_SURROGATES}"
        return rf'(?:[^"{re.escape(delimiter)}\r\n{other}]*|"(?:[^"{other}]|"")*")'
    if column.has_own_form or column.kind not in _CELLS or delimiter in "-:.+ ":
        return None
    return f'(?:{_CELLS[column.kind]}|"{_CELLS[column.kind]}")?'


def _offsets(ends: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Buffer:
    return pa.py_buffer(np.concatenate((np.zeros(1, np.int32), ends.astype(np.int32))))
