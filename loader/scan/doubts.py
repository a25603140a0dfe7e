"""The first rows of a table -> what about it may have been found out wrong, for the warnings.

In: the columns, and rows as text. Out: sentences. Holds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from loader.errors import shorten
from loader.types import registry
from loader.types.checks import all_match
from loader.types.column import Column
from loader.types.number_notation import NumberNotation

_LOOKED_AT = 100  # rows
_LEAST_BELOW = 3  # rows that make a column of numbers
_SHOWN = 3  # columns
_YEARS = range(1700, 2200)
_LEAST_COUNTED = 3
_GROUPED = r"(?:0|[1-9][0-9]{0,2}(?:\.[0-9]{3})*)"


def of_header(columns: Sequence[Column]) -> list[str]:
    """Return what is doubtful about a header that was guessed.

    Args:
        columns: With their types, as far as the first rows tell.
    """
    found = []
    if len(columns) == 1:
        found.append("the table has one column: no delimiter was found that fits all rows")
    if _may_be_data(columns):
        found.append("the first row looks like data: header row 0 loads it as a row")
    return found


def of_first_row(
    columns: Sequence[Column], cells: Sequence[pa.StringArray], place: int
) -> list[str]:
    """Return what is doubtful about the row below the header: it may be one of units, or names.

    Args:
        columns: With their types, as far as the first rows tell.
        cells: The first rows of each column.
        place: Of the first of them in the file.
    """
    above = [
        column.name
        for column, texts in zip(columns, cells, strict=True)
        if column.declared is None and column.type == registry.TEXT and _is_above_numbers(texts)
    ]
    if not above:
        return []
    shown = ", ".join(above[:_SHOWN]) + ", ..." * (len(above) > _SHOWN)
    return [
        f"row {place} has words above columns of numbers, which are text because of it: {shown};"
        " is it a second header?"
    ]


def of_points(
    columns: Sequence[Column], cells: Sequence[pa.StringArray], *, has_commas: bool
) -> list[str]:
    """Return which numbers may have points between groups, as other columns have commas.

    Args:
        columns: With their types, as far as the first rows tell.
        cells: The first rows of each column.
        has_commas: Whether the caller says that commas are decimal ones.
    """
    if not has_commas and not any(map(_has_decimal_comma, columns)):
        return []
    return [
        f"{column.name}: {shorten(texts.drop_null()[0].as_py())!r} is read with a decimal point,"
        " not in groups of digits, though commas are decimal ones"
        for column, texts in zip(columns, cells, strict=True)
        if column.declared is None
        and column.type == "numeric"
        and not column.read_as
        and all_match(texts, _GROUPED)
        and not registry.type_named("bigint").check.fits(texts)
    ]


def _has_decimal_comma(column: Column) -> bool:
    written = column.notation
    return isinstance(written, NumberNotation) and written.decimal == ","


def _is_above_numbers(texts: pa.StringArray) -> bool:
    """Tell whether the first cell alone keeps a column from being one of numbers."""
    if not len(texts) or not texts[0].as_py() or _is_number(texts[:1]):
        return False
    below = pc.drop_null(texts[1:_LOOKED_AT])
    return len(below) >= _LEAST_BELOW and _is_number(below)


def _is_number(texts: pa.StringArray) -> bool:
    return registry.type_named("numeric").check.fits(texts)


def _may_be_data(columns: Sequence[Column]) -> bool:
    """Tell whether every cell of the header would do as a value of its column, not all being text.

    Years in steps name columns.
    """
    typed = [column for column in columns if column.type != registry.TEXT]
    if not typed or any(
        column.declared is not None for column in columns
    ):  # a declared name is one
        return False
    if not all(column.header.strip() for column in columns) or not all(map(_fits, typed)):
        return False
    return not _are_steps([column.header for column in typed])


def _fits(column: Column) -> bool:
    cells = pa.array([column.header])
    values = column.notation.read(cells) if column.notation else cells
    return values is not None and column.check.fits(values)


def _are_steps(headers: Sequence[str]) -> bool:
    """Tell whether names are years in equal steps, or count the columns as pandas does."""
    if len(headers) == 1 or not all(header.isdecimal() for header in headers):
        return False
    numbers = [int(header) for header in headers]
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    are_years = numbers[0] in _YEARS and numbers[-1] in _YEARS
    are_counted = numbers[0] in {0, 1} and steps == {1} and len(numbers) >= _LEAST_COUNTED
    return len(steps) == 1 and steps != {0} and (are_years or are_counted)
