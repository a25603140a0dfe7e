"""What is promised, and whether the measurements keep it.

In: the runs of every file. Out: one verdict for every bound. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.measure import AIRCAN_WAYS, Run


@dataclass(frozen=True)
class Measured:
    """All runs of one file.

    Args:
        kind: ``taxi`` or ``311``.
        rows: Its rows.
        bytes: Its size.
        runs: For every way that was measured, its runs in their order.
    """

    kind: str
    rows: int
    bytes: int
    runs: Mapping[str, Sequence[Run]]

    def seconds(self, way: str) -> float:
        """Return the median time of a way's runs."""
        return median(run.seconds for run in self.runs[way])

    def peak_mb(self, way: str) -> float:
        """Return the median of the runs' peak memory."""
        return median(run.peak_mb for run in self.runs[way])

    def rows_per_second(self, way: str) -> float:
        """Return how fast a way is, in the median."""
        return self.rows / self.seconds(way)


@dataclass(frozen=True)
class Limits:
    """The largest values that are still good."""

    b_to_a: float
    c_to_d: Mapping[str, float]
    memory_mb: float
    memory_growth: float
    time_growth: float


FULL = Limits(
    b_to_a=1.3,
    c_to_d={"taxi": 0.5, "311": 0.6},
    memory_mb=350,
    memory_growth=1.10,
    time_growth=1.15,
)
# Small files on a busy machine: start-up weighs more and a neighbour can take a core.
GUARD = replace(FULL, b_to_a=2.2, c_to_d={"taxi": 0.8, "311": 0.8})


@dataclass(frozen=True)
class Verdict:
    """One bound, what was measured, and whether it holds."""

    name: str
    value: float
    limit: float
    unit: str = "x"

    @property
    def holds(self) -> bool:
        """Tell whether the value is within its limit."""
        return self.value <= self.limit

    def __str__(self) -> str:
        """Return one line."""
        kept = "holds" if self.holds else "BROKEN"
        return f"{self.name}: {self.value:.2f} {self.unit}, at most {self.limit:g}: {kept}"


def check(base: Sequence[Measured], scaled: Sequence[Measured], limits: Limits) -> list[Verdict]:
    """Hold the measurements against the limits.

    Args:
        base: One for each kind, with all four ways.
        scaled: The same kinds with more rows, with AirCan's ways; or none.
        limits: What is promised.
    Returns: A verdict for every bound, those kept included.
    Raises: KeyError: a way or a kind is missing; nothing is taken for kept unmeasured.
    """
    larger = {measured.kind: measured for measured in scaled}
    verdicts = [verdict for one in base for verdict in _check_one(one, limits)]
    if scaled:
        verdicts += [v for one in base for v in _check_growth(one, larger[one.kind], limits)]
    return verdicts


def _check_one(one: Measured, limits: Limits) -> Iterator[Verdict]:
    yield Verdict(f"{one.kind} b/a", one.seconds("b") / one.seconds("a"), limits.b_to_a)
    yield Verdict(f"{one.kind} c/d", one.seconds("c") / one.seconds("d"), limits.c_to_d[one.kind])
    for way in AIRCAN_WAYS:
        highest = max(run.peak_mb for run in one.runs[way])
        yield Verdict(f"{one.kind} memory of {way}", highest, limits.memory_mb, "MB")


def _check_growth(one: Measured, larger: Measured, limits: Limits) -> Iterator[Verdict]:
    times = f"{larger.rows / one.rows:g} times the rows"
    for way in AIRCAN_WAYS:
        memory = larger.peak_mb(way) / one.peak_mb(way)
        seconds_per_row = one.rows_per_second(way) / larger.rows_per_second(way)
        yield Verdict(f"{one.kind} memory of {way}, {times}", memory, limits.memory_growth)
        yield Verdict(
            f"{one.kind} time per row of {way}, {times}", seconds_per_row, limits.time_growth
        )
