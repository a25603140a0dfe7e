"""Cells that mean that there is no value -> nulls: empty ones, and a schema's ``missingValues``.

In: Arrow strings. Out: the same, with null for these cells. Holds the block's cells once more.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def empty_to_null(cells: pa.StringArray) -> pa.StringArray:
    """Return the cells with quoted empty ones made null: in typed columns they mean nothing."""
    if pc.min(pc.binary_length(cells)).as_py() == 0:
        return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
    return cells


def missing_to_null(cells: pa.StringArray, missing: pa.StringArray) -> pa.StringArray:
    """Return the cells with the schema's ``missingValues`` made null."""
    is_missing = pc.is_in(cells, value_set=missing, skip_nulls=True)
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), cells)
