"""What is promised against xloader, and whether the measurements keep it.

In: the runs of every way and file. Out: one verdict for every bound. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Run:
    """When one load reached what, in seconds from its start.

    Args:
        readable: datastore_search returned the last row, and the right total.
        visible: The portal's pages show them, and their full text is there.
        finished: All was done.
    """

    readable: float
    visible: float
    finished: float


@dataclass(frozen=True)
class Measured:
    """All runs of one way with one file.

    Args:
        kind: ``taxi`` or ``311``.
        way: ``xloader``, ``copy`` or ``api``.
        rows: The file's rows.
        bytes: Its size.
        runs: In their order.
    """

    kind: str
    way: str
    rows: int
    bytes: int
    runs: Sequence[Run]

    def seconds(self, figure: str) -> float:
        """Return the median of the runs: until they were ``visible``, ``finished``..."""
        seconds: list[float] = [getattr(run, figure) for run in self.runs]
        return median(seconds)

    def rows_per_second(self) -> float:
        """Return how fast all was done, in the median."""
        return self.rows / self.seconds("finished")


@dataclass(frozen=True)
class Limits:
    """The smallest ratios that are still good."""

    visible: Mapping[str, float]
    finished: Mapping[str, float]
    rows_per_second: float


FULL = Limits(
    visible={"taxi": 4, "311": 3},
    finished={"taxi": 3, "311": 2},
    rows_per_second=12,
)


@dataclass(frozen=True)
class Verdict:
    """One bound, what was measured, and whether it holds."""

    name: str
    value: float
    least: float

    @property
    def holds(self) -> bool:
        """Tell whether the value reaches its limit."""
        return self.value >= self.least

    def __str__(self) -> str:
        """Return one line."""
        kept = "holds" if self.holds else "BROKEN"
        return f"{self.name}: {self.value:.2f} times as fast, at least {self.least:g}: {kept}"


def check(measured: Sequence[Measured], limits: Limits = FULL) -> list[Verdict]:
    """Hold the measurements against the limits.

    Args:
        measured: Of each kind one with every way.
        limits: What is promised.
    Returns: A verdict for every bound, those kept included.
    Raises: KeyError: a way of a kind is missing; nothing is taken for kept unmeasured.
    """
    by_way = {(one.kind, one.way): one for one in measured}
    kinds = dict.fromkeys(one.kind for one in measured)
    return [verdict for kind in kinds for verdict in _check_kind(by_way, kind, limits)]


def _check_kind(
    by_way: Mapping[tuple[str, str], Measured], kind: str, limits: Limits
) -> Iterator[Verdict]:
    xloader, copy, api = (by_way[kind, way] for way in ("xloader", "copy", "api"))
    for figure, least in (("visible", limits.visible[kind]), ("finished", limits.finished[kind])):
        times = xloader.seconds(figure) / copy.seconds(figure)
        yield Verdict(f"{kind} {figure}, copy against xloader", times, least)
    times = copy.rows_per_second() / api.rows_per_second()
    yield Verdict(f"{kind} rows/s, copy against api", times, limits.rows_per_second)
