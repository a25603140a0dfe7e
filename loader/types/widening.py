"""A column whose values do not fit its type -> the same with the next wider type that they fit.

The wider types are those of the registry's rows:

    bigint -> numeric -> text        date -> timestamp -> text        all others -> text

Holds nothing.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from loader.types.column import Column
from loader.types.deciding import Deciding
from loader.types.notation import Notation
from loader.types.registry import TEXT, type_named


def settle(column: Column, cells: pa.StringArray) -> Column:
    """Return the column with the narrowest type, from its own on, that all cells fit."""
    row = type_named(column.type)
    while not row.check.fits(cells):
        row = type_named(row.wider)
    return widen(column, row.name)


def widen(column: Column, name: str) -> Column:
    """Return the column with another type, remembering the one it began with."""
    if name == column.type:
        return column
    began = column.widened_from or column.type
    return replace(column, type=name, notation=None, widened_from=began)


def as_text(column: Column) -> Column:
    """Return the column as text, which holds everything."""
    return widen(column, TEXT)


def written_as(column: Column, form: Notation, deciding: Deciding) -> Column:
    """Return the column with the type of a notation; as text as long as that is not decided."""
    notation = form.decided(deciding)
    kind = notation.type if notation else TEXT
    return replace(widen(column, kind), form=form, notation=notation)


def before(began: Column, now: Column) -> str:
    """Return the widest type, on the way from one to the other, that was not wide enough."""
    name = began.type
    while (wider := type_named(name).wider) != now.type and wider != TEXT:
        name = wider
    return name


def steps(began: Column, now: Column) -> int:
    """Return how far a column was widened, in types; to what a declared one is stored as: 1."""
    chain = [began.type]
    while chain[-1] != TEXT:
        chain.append(type_named(chain[-1]).wider)
    if now.type == TEXT:
        return len(chain)
    return chain.index(now.type) if now.type in chain else 1
