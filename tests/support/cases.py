"""Cases of several parameters, fewer than their product."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product


def pairwise(*axes: Sequence[object]) -> list[tuple]:
    """Return cases in which any two values of two axes occur together, in the axes' order.

    Faults that need three certain values at once are rare, and are to have a case of their own.
    """
    left = {
        (one, first, other, second)
        for one, other in combinations(range(len(axes)), 2)
        for first, second in product(range(len(axes[one])), range(len(axes[other])))
    }
    chosen = []
    while left:
        places = max(
            product(*(range(len(axis)) for axis in axes)),
            key=lambda places: len(_pairs(places) & left),
        )
        left -= _pairs(places)
        chosen.append(places)
    return [
        tuple(axis[place] for axis, place in zip(axes, places, strict=True))
        for places in sorted(chosen)
    ]


def in_turn(*axes: Sequence[object]) -> list[tuple]:
    """Return as many cases as the longest axis has values, with those of the others in turn.

    For axes of which one has nothing to do with what the other decides.
    """
    count = max(map(len, axes))
    return [tuple(axis[number % len(axis)] for axis in axes) for number in range(count)]


def _pairs(places: tuple[int, ...]) -> set[tuple[int, int, int, int]]:
    return {
        (one, places[one], other, places[other])
        for one, other in combinations(range(len(places)), 2)
    }
