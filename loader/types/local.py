"""A column of the first rows -> the same, read as people write, if its cells prove how.

In: a column as Postgres's own forms leave it, mostly text, and its cells. Out: the column with a
notation; or as text that is watched, until later rows decide between two readings, or have shown
that signs for no value are all that makes it text. Holds the block's cells once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from loader.types import notation, nulls, registry, told, widening
from loader.types.column import Column
from loader.types.notation import Habits, Notation
from loader.types.verification import Verification

_SAMPLED = 200  # cells; a column of other text is known by them


def read(column: Column, cells: pa.StringArray, habits: Habits, *, looks_for_signs: bool) -> Column:
    """Return an inferred column as it begins.

    Args:
        column: With the type that is Postgres's own.
        cells: The first block's, with null for the schema's ``missingValues``.
        habits: What is made of cells that are not written as Postgres writes them.
        looks_for_signs: Whether signs for no value are looked for.
    """
    if column.type != registry.TEXT:
        return _compact(column, cells, habits)
    cells = nulls.empty_to_null(nulls.trimmed(cells))
    if form := notation.learn(cells, _header(column)):
        return _written(column, form, cells, habits)
    if not looks_for_signs or not _may_be_typed(column, cells):
        return column
    without = _typed(column, nulls.signs_to_null(cells), habits)
    if without is column or habits.nulls_signs:
        return without
    return replace(column, inferred_as="string", would_be=without)


def _header(column: Column) -> str:
    return column.header or column.name


def _compact(column: Column, cells: pa.StringArray, habits: Habits) -> Column:
    """Return a column of numbers as one of dates, such as 20201231, if it has a date's name.

    Any other column is returned as it is.
    """
    if column.type != "bigint" or not notation.may_be_compact(_header(column)):
        return column
    cells = nulls.empty_to_null(nulls.trimmed(cells))
    form = notation.learn(cells, _header(column))
    if form is None or form.type != "date":
        return column
    return _written(column, form, cells, habits)


def _written(column: Column, form: Notation, cells: pa.StringArray, habits: Habits) -> Column:
    """Return the column with a notation of its cells; as it is if they are not of its type."""
    decided = form.decided(habits.deciding)
    if decided is None and not (form.is_doubtful and form.readings(habits.deciding)):
        return column
    if decided is not None:
        values = decided.read(cells)
        if values is None or not registry.type_named(decided.type).check.fits(values):
            return column  # such as 31.02.2020
    written = widening.written_as(column, form, habits.deciding)
    frictionless = registry.type_named(written.type).frictionless[0]
    return replace(written, inferred_as=frictionless, widened_from=None)


def of_type(column: Column, cells: pa.StringArray, habits: Habits) -> Column:
    """Return a column whose type the Data Dictionary says; with a notation, if its cells prove one.

    Args:
        column: Its type stays.
        cells: As for ``read``.
        habits: As for ``read``.
    """
    cells = nulls.empty_to_null(nulls.trimmed(cells))
    if column.type == registry.TEXT or column.is_in_own_form or column.check.fits(cells):
        return column
    form = notation.learn(cells, _header(column))
    decided = form and form.decided(habits.deciding)
    if form is None or decided is None:
        return column
    values = decided.read(cells)
    if values is None or not column.check.fits(values):
        return column
    return replace(column, form=form, notation=decided)


def _may_be_typed(column: Column, cells: pa.StringArray) -> bool:
    """Tell whether a column has signs for no value, and its first cells beside them are no text."""
    if not pc.any(pc.is_in(cells, value_set=nulls.SIGNS, skip_nulls=True), min_count=0).as_py():
        return False
    few = nulls.signs_to_null(cells[:_SAMPLED])
    return (
        few.null_count == len(few)
        or _narrowest(few) is not None
        or notation.learn(few, _header(column)) is not None
    )


def _narrowest(cells: pa.StringArray) -> registry.Type | None:
    """Return the type that the cells fit; None for text."""
    types = (row for row in registry.TYPES if row.name != registry.TEXT)
    return next((row for row in types if row.check.fits(cells)), None)


def _typed(column: Column, cells: pa.StringArray, habits: Habits) -> Column:
    """Return the column with the narrowest type that the cells fit; itself if that is text."""
    if cells.null_count == len(cells):
        return column
    row = _narrowest(cells)
    if row is not None:
        typed = replace(column, type=row.name, inferred_as=row.frictionless[0])
        return _compact(typed, cells, habits)
    form = notation.learn(cells, _header(column))
    return _written(column, form, cells, habits) if form else column


def as_in_table(column: Column, live: Column) -> Column:
    """Return a column with the type of the table's, read as that one was.

    Args:
        column: Of the file.
        live: Of the table.
    """
    kind = registry.verified_as(live.type)
    told_form = told.reading(live.info)
    fits = told_form is not None and registry.holds(kind, told_form.type)
    form = told_form.loosened() if told_form and fits else None
    return replace(column, type=kind, form=form, notation=form)


def fitted(
    column: Column, cells: pa.StringArray, missing: Sequence[str], habits: Habits
) -> Column | None:
    """Return a column as these cells need it, of its type still; None if they do not fit it."""
    verification = Verification([column], missing, habits=habits)
    verification.verify(_OneColumn([cells]))
    return None if verification.widened else verification.columns[0]


@dataclass(frozen=True)
class _OneColumn:
    """The first block, of which one column is looked at.

    Attributes:
        cells: Those of the column.
        first_row: Of no meaning here.
    """

    cells: Sequence[pa.StringArray]
    first_row: int = 0

    def row_number(self, index: int, /) -> int:
        """Return a place of no meaning here."""
        return index
