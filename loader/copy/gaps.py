"""The ``_id`` that no row of a table has, as gaps between the ``_id`` that rows have.

In: the lowest and the highest ``_id`` of a table and the gaps between them; later, the ``_id`` that
new rows have taken. Out: the gaps that are left. Holds one pair of numbers for each gap.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

MOST_GAPS = 10_000  # each is looked up under the swap's lock: so many take 50 ms
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True)
class Free:
    """The ``_id`` that are free.

    Attributes:
        gaps: Pairs of ``_id`` between which all are free, the two themselves excluded, in
            ascending order. By default every ``_id`` is free.
        exact: Whether these are all gaps. If not, they are the largest ones, and an ``_id`` outside
            of them may be free too.
    """

    gaps: tuple[tuple[int, int], ...] = ((_LOWEST, _HIGHEST),)
    exact: bool = True

    def without(self, runs: Sequence[tuple[int, int]], *, exact: bool = True) -> Free:
        """Return what is still free once some ``_id`` are taken.

        Args:
            runs: The first and the last ``_id`` of each run that was taken, in ascending order;
                all of them were free.
            exact: Whether every ``_id`` of the last run is taken. If not, the run stands for all
                further ones, and there may be free ``_id`` in it.
        """
        # Both lists are in order, so one pass is enough: each gap is cut at the runs that lie in
        # it. ``end`` is the last ``_id`` known to be taken.
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
    """Return which ``_id`` are free in a table.

    Args:
        first: The lowest ``_id`` of its rows; None if it has no rows.
        last: The highest ``_id``.
        gaps: The gaps between these two, in any order.
        exact: Whether ``gaps`` has all of them.
    """
    if first is None or last is None:
        return ALL
    return Free(((_LOWEST, first), *sorted(gaps), (last, _HIGHEST)), exact)
