"""Verified rows -> COPY's CSV format, with ``_id`` in front, and ``_full_text`` before it if given.

In: a block whose records can be copied unchanged; or one string array per column, null for NULL.
Out: lines with the source's delimiter and line end, so that both kinds go into one COPY. The cells
of a column are quoted only if one of them needs it. Holds a second copy of the block.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.formats.csv.blocks import Block
from loader.formats.csv.quoting import Offsets


def encode(
    ids: Offsets,
    columns: Sequence[pa.StringArray],
    delimiter: str,
    line_end: str,
    vectors: pa.StringArray | None = None,
) -> list[memoryview]:
    """Return the rows as COPY CSV.

    Args:
        ids: The ``_id`` of each row.
        columns: The cells, as ``convert`` verified them.
        delimiter: Between cells.
        line_end: LF or CRLF; the same for the whole COPY.
        vectors: The ``_full_text`` of each row, if the COPY has that column.
    """
    if not len(ids):
        return []
    cells = [_leading(ids, delimiter, vectors)]
    cells += [_quote(column, delimiter) for column in columns]
    rows = pc.binary_join_element_wise(
        *cells, delimiter, null_handling="replace", null_replacement=""
    )
    joined = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)
    return [
        memoryview(pc.binary_join(joined, line_end).buffers()[2]),
        memoryview(line_end.encode()),
    ]


def number(block: Block, delimiter: str, vectors: pa.StringArray | None = None) -> list[memoryview]:
    """Return a block's records as COPY CSV: as they are, behind their ``_id``.

    Args:
        block: Its records are verified, and none is blank.
        delimiter: Between cells.
        vectors: The ``_full_text`` of each record, if the COPY has that column.
    """
    ends = np.concatenate((np.zeros(1, np.int32), block.ends.astype(np.int32)))
    buffers = pa.py_buffer(ends), pa.py_buffer(block.data)
    records = pa.StringArray.from_buffers(block.rows, *buffers)
    ids = np.arange(block.first_id, block.first_id + block.rows)
    lines = pc.binary_join_element_wise(_leading(ids, delimiter, vectors), records, delimiter)
    return [memoryview(lines.buffers()[2])]


def _leading(ids: Offsets, delimiter: str, vectors: pa.StringArray | None) -> pa.StringArray:
    """Return what goes in front of each row's own cells."""
    numbers = pa.array(ids).cast(pa.string())
    if vectors is None:
        return numbers
    quoted = _quote(vectors, delimiter)
    return pc.binary_join_element_wise(
        quoted, numbers, delimiter, null_handling="replace", null_replacement=""
    )


def _quote(cells: pa.StringArray, delimiter: str) -> pa.StringArray:
    """Return the cells in quotes if one of them needs that, or is empty and not null."""
    found = _found(cells, ('"', "\n", "\r", delimiter))
    if not found and pc.min(pc.binary_length(cells)).as_py() != 0:
        return cells
    doubled = pc.replace_substring(cells, '"', '""') if '"' in found else cells
    return pc.binary_join_element_wise('"', doubled, '"', "")


def _found(cells: pa.StringArray, characters: Sequence[str]) -> set[str]:
    """Return which of the characters are in the cells; copies the cells for a moment."""
    data = cells.buffers()[2]
    octets = data.to_pybytes() if data is not None else b""
    return {character for character in characters if character.encode() in octets}
