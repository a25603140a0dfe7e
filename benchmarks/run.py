"""Measure AirCan against psql and against CKAN's trigger, and hold it to its bounds.

In: options. Out: a table on the terminal; with ``--out``, results.json and chart.svg. Exit: 0
when every bound holds, 1 when one is broken, 2 when a load failed. Memory: small; every load is
a process of its own.

    python -m benchmarks.run                 the full run, about an hour
    python -m benchmarks.run --guard         the small one of CI, about four minutes
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

from benchmarks.bounds import FULL, GUARD, Measured, Verdict, check, check_swaps
from benchmarks.chart import draw
from benchmarks.measure import AIRCAN_WAYS, WAYS, Data, Run, WrongResult, measure
from benchmarks.server import Server, embedded_server
from benchmarks.vacuumed import measure_swaps

_FULL_ROWS = 1_500_000
_LARGER_WAYS = ("a", *AIRCAN_WAYS)  # d would take half an hour
# a and b are so fast that Python's start-up would hide a small file; d takes 20 times as long.
_GUARD_ROWS: dict[str, dict[tuple[str, ...], int]] = {
    "taxi": {("a", "b"): 1_500_000, ("c", "d"): 200_000},
    "311": {("a", "b"): 1_000_000, ("c", "d"): 200_000},
}


@dataclass(frozen=True)
class File:
    """One file to make, and the ways to load it."""

    kind: str
    rows: int
    ways: tuple[str, ...]


# The usual files, the larger ones, and the seconds of swaps under an autovacuum.
_All: TypeAlias = tuple[list[Measured], list[Measured], list[float]]
# Enough pages that the slow autovacuum takes minutes.
_VACUUMED = File("taxi", 100_000, ("b",))


@dataclass(frozen=True)
class Plan:
    """What to measure, and how often."""

    files: tuple[File, ...]
    larger: tuple[File, ...]
    runs: int
    lanes: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    # A log file has no width; the table needs this much.
    console = Console() if sys.stdout.isatty() else Console(width=110)
    plan = _plan(options)
    try:
        machine, measured = _measure_all(plan, console)
    except (subprocess.CalledProcessError, WrongResult) as error:
        told = getattr(error, "stderr", None) or ""
        console.print(f"not measured: {error}\n{told}", style="bold red", markup=False)
        return 2
    limits = GUARD if options.guard else FULL
    base, larger, swaps = measured
    verdicts = [*check(base, larger, limits), check_swaps(swaps, limits)]
    for one in (*base, *larger):
        console.print(_table(one))
    if options.out:
        _write(options.out, machine, plan, measured, verdicts)
    return _conclude(verdicts, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, help="rows of each file, instead of the usual ones")
    parser.add_argument("--kinds", nargs="+", choices=list(_GUARD_ROWS), default=list(_GUARD_ROWS))
    parser.add_argument("--runs", type=int, default=3, help="runs of each way; the median counts")
    parser.add_argument("--scale", type=int, default=4, help="times the rows; 1 leaves it out")
    parser.add_argument("--lanes", type=int, default=2, help="connections that AirCan copies with")
    parser.add_argument("--guard", action="store_true", help="small files, looser bounds")
    parser.add_argument("--out", type=Path, help="folder for results.json and chart.svg")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    if options.guard and not options.rows:
        sizes = [(kind, _GUARD_ROWS[kind]) for kind in options.kinds]
    else:
        sizes = [(kind, {tuple(WAYS): options.rows or _FULL_ROWS}) for kind in options.kinds]
    files = tuple(File(kind, rows, ways) for kind, by_way in sizes for ways, rows in by_way.items())
    larger: tuple[File, ...] = ()
    if options.scale > 1 and not options.guard:
        larger = tuple(File(one.kind, one.rows * options.scale, _LARGER_WAYS) for one in files)
    return Plan(files, larger, options.runs, options.lanes)


def _measure_all(plan: Plan, console: Console) -> tuple[str, _All]:
    """Measure every file, one kind after the other; return the machine, both sizes, the swaps."""
    base, larger = [], []
    with embedded_server() as server:
        machine = describe_machine(server)
        console.print(machine, highlight=False)
        for kind in dict.fromkeys(one.kind for one in plan.files):
            usual = [one for one in plan.files if one.kind == kind]
            files = usual + [one for one in plan.larger if one.kind == kind]
            with tempfile.TemporaryDirectory(prefix="aircan-data-") as folder:
                work = [(_generate(one, Path(folder)), one.ways) for one in files]
                measured = _alternate(server, plan, work, console)
            base += measured[: len(usual)]
            larger += measured[len(usual) :]
        swaps = _measure_swaps(server, plan, console)
    return machine, (base, larger, swaps)


def _measure_swaps(server: Server, plan: Plan, console: Console) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="aircan-data-") as folder:
        data = _generate(_VACUUMED, Path(folder))
        swaps = measure_swaps(server, data, plan.lanes, plan.runs)
    told = " ".join(f"{seconds:.2f}" for seconds in swaps)
    console.print(f"swap while an autovacuum has the old table: {told} s", highlight=False)
    return swaps


def _generate(file: File, folder: Path) -> Data:
    """Write a file, in a process of its own, to keep this one small (see measure.py)."""
    path = folder / f"{file.kind}-{file.rows}.csv"
    command = [sys.executable, "-m", "benchmarks.generate", file.kind, str(file.rows), str(path)]
    subprocess.run(command, check=True)
    return Data(file.kind, file.rows, path)


def _alternate(
    server: Server, plan: Plan, work: Sequence[tuple[Data, tuple[str, ...]]], console: Console
) -> list[Measured]:
    """Measure each way once, then each again: what slows the machine slows them all alike."""
    runs: list[dict[str, list[Run]]] = [{way: [] for way in ways} for _, ways in work]
    for number in range(1, plan.runs + 1):
        for (data, ways), taken in zip(work, runs, strict=True):
            for way in ways:
                run = measure(server, way, data, plan.lanes)
                taken[way].append(run)
                console.print(
                    f"{data.kind} {data.rows:,} rows, run {number} of {plan.runs}: {way} "
                    f"{run.seconds:.2f} s",
                    highlight=False,
                )
    return [
        Measured(data.kind, data.rows, data.path.stat().st_size, taken)
        for (data, _), taken in zip(work, runs, strict=True)
    ]


def describe_machine(server: Server) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores, "
        f"Python {platform.python_version()}, PostgreSQL {server.run('SHOW server_version')}"
    )


def _table(measured: Measured) -> Table:
    title = f"{measured.kind}: {measured.rows:,} rows, {measured.bytes / 1e6:,.0f} MB"
    table = Table(title=title, title_justify="left")
    table.add_column("way", no_wrap=True)
    for column in ("median s", "all runs s", "rows/s", "client MB", "of a", "of d"):
        table.add_column(column, justify="right")
    for way, runs in measured.runs.items():
        table.add_row(
            f"{way}  {WAYS[way]}",
            f"{measured.seconds(way):.2f}",
            " ".join(f"{run.seconds:.2f}" for run in runs),
            f"{measured.rows_per_second(way):,.0f}",
            f"{measured.peak_mb(way):.0f}" if way in AIRCAN_WAYS else "",
            *(_ratio(measured, way, other) for other in ("a", "d")),
        )
    return table


def _ratio(measured: Measured, way: str, other: str) -> str:
    if other not in measured.runs:
        return ""
    return f"{measured.seconds(way) / measured.seconds(other):.2f}"


def _write(
    folder: Path,
    machine: str,
    plan: Plan,
    measured: _All,
    verdicts: Sequence[Verdict],
) -> None:
    """Write results.json and chart.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    base, larger, swaps = measured
    results = {
        "machine": machine,
        **asdict(plan),
        "measured": [asdict(one) for one in (*base, *larger)],
        "swaps_under_autovacuum_s": list(swaps),
        "bounds": [{**asdict(verdict), "holds": verdict.holds} for verdict in verdicts],
    }
    text = json.dumps(results, indent=2) + "\n"
    (folder / "results.json").write_text(text, encoding="utf-8")
    (folder / "chart.svg").write_text(draw(base, machine), encoding="utf-8")


def _conclude(verdicts: Sequence[Verdict], console: Console) -> int:
    """Print every verdict, the broken ones last; return the exit code."""
    for verdict in sorted(verdicts, key=lambda verdict: not verdict.holds):
        console.print(str(verdict), style=None if verdict.holds else "bold red", highlight=False)
    return 0 if all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
