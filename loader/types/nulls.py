"""Cells that mean that there is no value -> nulls: empty ones, a schema's ``missingValues``, signs.

In: Arrow strings. Out: the same, with null for these cells; or without the spaces around them.
Holds the block's cells once more.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

# What people write where there is no value; a column of text keeps them as they are.
_SIGNS = """
    N/A n/a N/a NA na #N/A #n/a #NA N.A. n.a. - -- --- \u2013 \u2014 . .. ... NULL null Null
    NaN nan NAN k.A. K.A. k.a. n.d. N.D. nd ND s/d S/D
"""
SIGNS = pa.array(_SIGNS.split(), pa.string())


def empty_to_null(cells: pa.StringArray) -> pa.StringArray:
    """Return the cells with quoted empty ones made null: in typed columns they mean nothing."""
    if pc.min(pc.binary_length(cells)).as_py() == 0:
        return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
    return cells


def missing_to_null(cells: pa.StringArray, missing: pa.StringArray) -> pa.StringArray:
    """Return the cells with the schema's ``missingValues`` made null."""
    is_missing = pc.is_in(cells, value_set=missing, skip_nulls=True)
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), cells)


def signs_to_null(cells: pa.StringArray) -> pa.StringArray:
    """Return the cells with the signs for no value made null."""
    return missing_to_null(cells, SIGNS)


def trimmed(cells: pa.StringArray) -> pa.StringArray:
    """Return the cells without spaces around them; null for those of nothing else."""
    without = pc.utf8_trim_whitespace(cells)
    emptied = pc.and_(pc.equal(without, ""), pc.not_equal(cells, ""))
    return pc.if_else(emptied, pa.scalar(None, pa.string()), without)


def changed(before: pa.StringArray, after: pa.StringArray) -> pa.BooleanArray:
    """Return which cells are not the same any more; null counts as another cell."""
    emptied = pc.and_(pc.is_valid(before), pc.is_null(after))
    return pc.coalesce(pc.not_equal(before, after), emptied)
