"""A type of limited precision -> whether it would change a value: Postgres rounds in silence.

Only tables that were not made by a load have such types; ours hold every value that was verified.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa

from loader.errors import ValueDoesNotFit
from loader.types import datatypes

# type: how many values it has below zero
INTEGERS = {"smallint": 2**15, "integer": 2**31}
_FRACTION = re.compile(r"\.(\d*)")


@dataclass(frozen=True)
class Limit:
    """A column whose type in the table may round, cut or refuse a value.

    Attributes:
        column: Its name.
        type: Such as ``numeric(10,2)``.
        changes: The question whether the type does that to a value.
    """

    column: str
    type: str
    changes: Callable[[str], bool]

    def check(self, cells: pa.StringArray) -> None:
        """Refuse a value that would not come back as it is.

        Raises:
            ValueDoesNotFit: The first one.
        """
        for value in cells.to_pylist():
            if value is not None and self.changes(value):
                raise misfit(self.column, self.type, value)


def misfit(column: str, kind: str, value: str | None = None, why: str = "") -> ValueDoesNotFit:
    """Return the error for a value that a column's type in the table would change."""
    return ValueDoesNotFit(
        f"does not fit the table's type {kind}{why}",
        column=column,
        value=value,
        hint="correct the value, or let the file replace the table",
        option="mode",
    )


def limit_of(column: str, kind: str) -> Limit | None:
    """Return the limit of a column's type, if it has one.

    Args:
        column: Its name.
        kind: Its type, as ``datatypes.name`` returns it; the values to be checked are text that
            ``datatypes.verified_as(kind)`` holds.
    """
    changes = _exact(kind) or _sized(kind)
    return Limit(column, kind, changes) if changes else None


def _exact(kind: str) -> Callable[[str], bool] | None:
    """Return the question for a type of binary numbers."""
    if kind in INTEGERS:
        return lambda text: not -INTEGERS[kind] <= int(text) < INTEGERS[kind]
    if kind == "real":
        return _is_not_single
    if kind == "double precision":
        return lambda text: Decimal(repr(float(text))) != Decimal(text)
    return None


def _sized(kind: str) -> Callable[[str], bool] | None:
    """Return the question for a type with a length or a precision."""
    plain, sizes = datatypes.bare(kind), [int(size) for size in re.findall(r"-?\d+", kind)]
    if not sizes:
        return None
    if plain == "numeric":
        digits, scale = (*sizes, 0)[:2]
        return lambda text: _is_longer(Decimal(text), digits, scale)
    if plain == "character varying":
        return lambda text: len(text) > sizes[0]
    if plain == "character":
        return lambda text: len(text) > sizes[0] or text.endswith(" ")
    if plain in {"time", "timestamp", "timestamptz"}:
        return lambda text: _fraction_digits(text) > sizes[0]
    return None


def _is_not_single(text: str) -> bool:
    with np.errstate(over="ignore"):
        return Decimal(str(np.float32(text))) != Decimal(text)


def _is_longer(value: Decimal, digits: int, scale: int) -> bool:
    """Tell whether a number has more digits than fit before the point, or after it."""
    exponent = value.as_tuple().exponent
    if not value or not isinstance(exponent, int):  # zero, NaN
        return False
    figures = "".join(map(str, value.as_tuple().digits))
    last = exponent + len(figures) - len(figures.rstrip("0"))
    return last < -scale or value.adjusted() >= digits - scale


def _fraction_digits(moment: str) -> int:
    found = _FRACTION.search(moment)
    return len(found[1].rstrip("0")) if found else 0
