"""Verified strings -> COPY's text format, with ``_id`` in front.

In: one string array per column, null for NULL. Out: one buffer of lines. Text format instead of
CSV: Postgres reads it faster, null and '' need no quotes, and a line of it is always one row, so
that a line number in a server's message leads back to the row. Holds the block once more.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from loader.blocks import Offsets

# Backslash first: the others bring new ones.
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


def encode(ids: Offsets, columns: Sequence[pa.StringArray]) -> list[memoryview]:
    """Return the rows as COPY text.

    Args:
        ids: The ``_id`` of each row.
        columns: The cells, as ``convert`` verified them.
    """
    if not len(ids):
        return []
    cells = [pa.array(ids).cast(pa.string()), *map(_escape, columns)]
    rows = pc.binary_join_element_wise(
        *cells, "\t", null_handling="replace", null_replacement="\\N"
    )
    lines = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows), "\n")
    return [memoryview(lines.buffers()[2]), memoryview(b"\n")]


def _escape(cells: pa.StringArray) -> pa.StringArray:
    data = cells.buffers()[2]
    if data is None:
        return cells
    octets = data.to_pybytes()
    for character, escaped in _ESCAPES:
        if character.encode() in octets:
            cells = pc.replace_substring(cells, character, escaped)
    return cells
