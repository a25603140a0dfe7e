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
    swap_s: float


FULL = Limits(
    b_to_a=1.3,
    c_to_d={"taxi": 0.5, "311": 0.6},
    memory_mb=350,
    memory_growth=1.10,
    time_growth=1.15,
    swap_s=5,
)
# Small files on a busy machine: start-up weighs more and a neighbour can take a core.
GUARD = replace(FULL, b_to_a=2.6, c_to_d={"taxi": 0.95, "311": 0.95})


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
        base: For each kind one file with all four ways, or one with a and b and one with c and d.
        scaled: The same kinds with more rows, with AirCan's ways at least; or none.
        limits: What is promised.
    Returns: A verdict for every bound, those kept included.
    Raises: KeyError: a way or a kind is missing; nothing is taken for kept unmeasured.
    """
    verdicts: list[Verdict] = []
    for kind in dict.fromkeys(one.kind for one in base):
        verdicts += _check_speed(base, kind, limits)
        for way in AIRCAN_WAYS:
            one = _find(base, kind, way)
            verdicts.append(_check_memory(one, way, limits))
            if scaled:
                verdicts += _check_growth(one, _find(scaled, kind, way), way, limits)
    return verdicts


def check_swaps(seconds: Sequence[float], limits: Limits) -> Verdict:
    """Hold the slowest swap of tables that an autovacuum had in hand against its limit."""
    return Verdict("swap while an autovacuum has the old table", max(seconds), limits.swap_s, "s")


def _find(files: Sequence[Measured], kind: str, *ways: str) -> Measured:
    """Return the first file of a kind that was loaded in all these ways."""
    for one in files:
        if one.kind == kind and one.runs.keys() >= set(ways):
            return one
    raise KeyError(f"{kind} was not measured in the ways {', '.join(ways)}")


def _check_speed(base: Sequence[Measured], kind: str, limits: Limits) -> Iterator[Verdict]:
    for way, other, limit in (("b", "a", limits.b_to_a), ("c", "d", limits.c_to_d[kind])):
        one = _find(base, kind, way, other)
        yield Verdict(f"{kind} {way}/{other}", one.seconds(way) / one.seconds(other), limit)


def _check_memory(one: Measured, way: str, limits: Limits) -> Verdict:
    highest = max(run.peak_mb for run in one.runs[way])
    return Verdict(f"{one.kind} memory of {way}", highest, limits.memory_mb, "MB")


def _check_growth(one: Measured, larger: Measured, way: str, limits: Limits) -> Iterator[Verdict]:
    times = f"{larger.rows / one.rows:g} times the rows"
    memory = larger.peak_mb(way) / one.peak_mb(way)
    row_time = one.rows_per_second(way) / larger.rows_per_second(way)
    yield Verdict(f"{one.kind} memory of {way}, {times}", memory, limits.memory_growth)
    yield Verdict(f"{one.kind} time per row of {way}, {times}", row_time, limits.time_growth)
