"""Block -> whether all its records are in order, without taking it apart.

A schema is a regular language: one expression says what every cell of a record may be, and one
match of it, at 250 MB/s, verifies all rows and columns of a block at once. Such a block goes to
Postgres as it came, with ``_id`` in front of each record. Any other block (ragged rows, a stray
quote, bad UTF-8, a value that does not fit, 29 February in 1900) is parsed and converted cell by
cell, which finds out what is wrong with it. On ``taxi`` that takes four times the client's CPU
time.

In: the columns, and blocks. Out: yes or no. Holds one expression.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.formats.csv.blocks import CsvBlock
from loader.formats.csv.dialect import Dialect
from loader.types.column import Column
from loader.types.registry import TEXT

# The expression's automaton grows with the columns, and above 8 MiB RE2 gives it up.
_MOST_COLUMNS = 150
_QUOTE = '"'
# Postgres stores neither these nor NUL; RE2 matches nothing else that is not UTF-8.
_SURROGATES = r"\x{D800}-\x{DFFF}"


class Matcher:
    """Verifies whole blocks for one schema.

    Args:
        columns: With their final types.
        dialect: How the source's cells are cut; COPY cuts them in the same way.
        missing: The schema's ``missingValues``; with others than '' no block matches.
    """

    def __init__(
        self, columns: Sequence[Column], dialect: Dialect, missing: Sequence[str] = ("",)
    ) -> None:
        self._expression = None if any(missing) else _expression(columns, dialect)

    def matches(self, block: CsvBlock) -> bool:
        """Tell whether all that a block has are records, and every value fits its column.

        Args:
            block: Whole records.
        """
        if self._expression is None or block.is_torn or len(block.ends) != block.rows:
            return False
        ends = np.array([0, len(block.data)], np.int32)
        buffers = pa.py_buffer(ends), pa.py_buffer(block.data)
        whole = pa.StringArray.from_buffers(1, *buffers)
        return bool(pc.match_substring_regex(whole, self._expression)[0].as_py())


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
    if column.type == TEXT:
        other = rf"\x00{_SURROGATES}"
        return rf'(?:[^"{re.escape(delimiter)}\r\n{other}]*|"(?:[^"{other}]|"")*")'
    pattern = column.check.pattern
    if column.is_converted or pattern is None or delimiter in "-:.+ ":
        return None
    return f'(?:{pattern}|"{pattern}")?'
