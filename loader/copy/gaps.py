"""The ``_id`` that no row of a table has, as the gaps between those that rows have.

In: the first, the last and the gaps that the table's rows leave, then what rows take of them. Out:
what is left. Holds one line for each gap.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

MOST_GAPS = 10_000
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True)
class Free:
    """The ``_id`` that are free.

    Attributes:
        gaps: Each between two that are not, in order; by default, all are free.
        exact: Whether these are all; if not, they are the largest ones.
    """

    gaps: tuple[tuple[int, int], ...] = ((_LOWEST, _HIGHEST),)
    exact: bool = True

    def without(self, runs: Sequence[tuple[int, int]], *, exact: bool = True) -> Free:
        """Return what is left when others are taken.

        Args:
            runs: The first and the last of each run of them, in order; all of them free.
            exact: Whether the last run has no free ones in it.
        """
        following = iter(runs)
        run = next(following, None)
        left, end = [], _LOWEST
        for low, high in self.gaps:
            end = max(end, low)
            while run is not None and run[0] < high:
                left.append((end, run[0]))
                end, run = max(end, run[1]), next(following, None)
            left.append((end, high))
        left = [(low, high) for low, high in left if high > low + 1]
        return _largest(left, exact=self.exact and exact)


ALL = Free()
UNKNOWN = Free((), exact=False)  # where _id has no index


def _largest(gaps: Sequence[tuple[int, int]], *, exact: bool) -> Free:
    if len(gaps) <= MOST_GAPS:
        return Free(tuple(gaps), exact)
    most = heapq.nlargest(MOST_GAPS, gaps, key=lambda gap: gap[1] - gap[0])
    return Free(tuple(sorted(most)), exact=False)


def around(
    first: int | None, last: int | None, gaps: Sequence[tuple[int, int]] = (), *, exact: bool = True
) -> Free:
    """Return what is free in a table.

    Args:
        first: The lowest ``_id`` of its rows; None if it has none.
        last: The highest one.
        gaps: Those between them.
        exact: Whether these are all gaps.
    """
    if first is None or last is None:
        return ALL
    return Free(((_LOWEST, first), *sorted(gaps), (last, _HIGHEST)), exact)
