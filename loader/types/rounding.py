"""A type's length or precision -> which values it would change: Postgres rounds in silence.

In: the numbers in brackets behind a type's name, such as 10 and 2 of ``numeric(10,2)``. Out: a
test for one value as text, or none where the type holds every value. Holds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np

Changes = Callable[[str], bool]  # whether a type would change a value
Limiter = Callable[[Sequence[int]], "Changes | None"]
_FRACTION = re.compile(r"\.(\d*)")


def integers(bound: int) -> Limiter:
    """Return the limiter of a type of integers from ``-bound`` to one below ``bound``."""
    return lambda sizes: lambda text: not -bound <= int(text) < bound


def single(sizes: Sequence[int]) -> Changes:  # noqa: ARG001  (it has none)
    """Return the test for binary numbers of 32 bits."""
    return _is_not_single


def double(sizes: Sequence[int]) -> Changes:  # noqa: ARG001  (it has none)
    """Return the test for binary numbers of 64 bits."""
    return lambda text: Decimal(repr(float(text))) != Decimal(text)


def digits(sizes: Sequence[int]) -> Changes | None:
    """Return the test for decimal numbers of so many digits, and so many behind the point."""
    if not sizes:
        return None
    precision, scale = (*sizes, 0)[:2]
    return lambda text: _is_longer(Decimal(text), precision, scale)


def characters(sizes: Sequence[int]) -> Changes | None:
    """Return the test for texts of at most so many characters."""
    return (lambda text: len(text) > sizes[0]) if sizes else None


def padded(sizes: Sequence[int]) -> Changes | None:
    """Return the test for texts that the type pads with spaces: those at the end are lost."""
    return (lambda text: len(text) > sizes[0] or text.endswith(" ")) if sizes else None


def seconds(sizes: Sequence[int]) -> Changes | None:
    """Return the test for moments whose seconds have at most so many digits behind the point."""
    return (lambda text: _fraction_digits(text) > sizes[0]) if sizes else None


def _is_not_single(text: str) -> bool:
    with np.errstate(over="ignore"):
        return Decimal(str(np.float32(text))) != Decimal(text)


def _is_longer(value: Decimal, precision: int, scale: int) -> bool:
    """Tell whether a number has more digits than fit before the point, or after it."""
    exponent = value.as_tuple().exponent
    if not value or not isinstance(exponent, int):  # zero, NaN
        return False
    figures = "".join(map(str, value.as_tuple().digits))
    last = exponent + len(figures) - len(figures.rstrip("0"))
    return last < -scale or value.adjusted() >= precision - scale


def _fraction_digits(moment: str) -> int:
    found = _FRACTION.search(moment)
    return len(found[1].rstrip("0")) if found else 0
