"""A column's cells -> objects that are equal where Postgres holds the values to be equal.

In: verified cells of one type, null for NULL. Out: an object for each. Holds the block's cells once
more.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal

import pyarrow as pa
import pyarrow.compute as pc

Values = Iterable[object]
_EXACT = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)


def texts(cells: pa.Array) -> Values:
    """Return the cells of a type each of whose values is written in one way only."""
    values: Values = cells.to_pylist()
    return values


def numbers(cells: pa.StringArray) -> Values:
    """Return numbers without the zeros at their ends: 1.50 equals 1.5."""
    return map(_number, cells.to_pylist())


def booleans(cells: pa.StringArray) -> Values:
    """Return truth values in lower case."""
    return texts(pc.utf8_lower(cells))


def times(cells: pa.StringArray) -> Values:
    """Return times of day as microseconds."""
    return timestamps(pc.binary_join_element_wise("1970-01-01", cells, " "))


def timestamps(cells: pa.StringArray) -> Values:
    """Return moments without a zone as microseconds."""
    return texts(cells.cast(pa.timestamp("us")).cast(pa.int64()))


def instants(cells: pa.StringArray) -> Values:
    """Return moments with a zone as microseconds."""
    return texts(cells.cast(pa.timestamp("us", "UTC")).cast(pa.int64()))


def _number(text: str | None) -> str | None:
    return text and str(Decimal(text).normalize(_EXACT))
