"""Measure AirCan against psql and against CKAN's trigger, and hold it to its bounds.

In: options. Out: a table on the terminal; with ``--out``, results.json and chart.svg. Exit: 0
when every bound holds, 1 when one is broken, 2 when a load failed. Memory: small; every load is
a process of its own.

    python -m benchmarks.run                 the full run, about an hour
    python -m benchmarks.run --guard         the small one of CI, about two minutes
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

from rich.console import Console
from rich.table import Table

from benchmarks.bounds import FULL, GUARD, Measured, Verdict, check
from benchmarks.chart import draw
from benchmarks.measure import AIRCAN_WAYS, WAYS, Data, Run, WrongResult, measure
from benchmarks.server import Server, embedded_server

_FULL_ROWS = 1_500_000
_GUARD_ROWS = {"taxi": 250_000, "311": 100_000}


@dataclass(frozen=True)
class Plan:
    """What to measure, and how often."""

    rows: dict[str, int]
    runs: int
    scale: int
    lanes: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    console = Console()
    plan = _plan(options)
    try:
        machine, base, scaled = _measure_all(plan, console)
    except (subprocess.CalledProcessError, WrongResult) as error:
        console.print(f"not measured: {error}", style="bold red", markup=False)
        return 2
    verdicts = check(base, scaled, GUARD if options.guard else FULL)
    for measured in (*base, *scaled):
        console.print(_table(measured))
    if options.out:
        _write(options.out, machine, plan, (base, scaled), verdicts)
    return _conclude(verdicts, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, help="rows of each file, instead of the usual ones")
    parser.add_argument("--kinds", nargs="+", choices=sorted(_GUARD_ROWS), default=["taxi", "311"])
    parser.add_argument("--runs", type=int, default=3, help="runs of each way; the median counts")
    parser.add_argument("--scale", type=int, default=4, help="times the rows; 1 leaves it out")
    parser.add_argument("--lanes", type=int, default=2, help="connections that AirCan copies with")
    parser.add_argument("--guard", action="store_true", help="small files, looser bounds")
    parser.add_argument("--out", type=Path, help="folder for results.json and chart.svg")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    usual = _GUARD_ROWS if options.guard else dict.fromkeys(_GUARD_ROWS, _FULL_ROWS)
    rows = {kind: options.rows or usual[kind] for kind in options.kinds}
    return Plan(rows, options.runs, 1 if options.guard else options.scale, options.lanes)


def _measure_all(plan: Plan, console: Console) -> tuple[str, list[Measured], list[Measured]]:
    """Measure every kind; return the machine, the files of the usual size and the larger ones."""
    base, scaled = [], []
    with embedded_server() as server:
        machine = _describe_machine(server)
        console.print(machine, highlight=False)
        for kind, rows in plan.rows.items():
            with tempfile.TemporaryDirectory(prefix="aircan-data-") as folder:
                work = [(_generate(kind, rows, Path(folder)), tuple(WAYS))]
                if plan.scale > 1:
                    larger = _generate(kind, rows * plan.scale, Path(folder))
                    work.append((larger, AIRCAN_WAYS))
                measured = _alternate(server, plan, work, console)
            base.append(measured[0])
            scaled += measured[1:]
    return machine, base, scaled


def _generate(kind: str, rows: int, folder: Path) -> Data:
    """Write a file, in a process of its own, to keep this one small (see measure.py)."""
    path = folder / f"{kind}-{rows}.csv"
    command = [sys.executable, "-m", "benchmarks.generate", kind, str(rows), str(path)]
    subprocess.run(command, check=True)
    return Data(kind, rows, path)


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


def _describe_machine(server: Server) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores, "
        f"Python {platform.python_version()}, PostgreSQL {server.run('SHOW server_version')}"
    )


def _table(measured: Measured) -> Table:
    title = f"{measured.kind}: {measured.rows:,} rows, {measured.bytes / 1e6:,.0f} MB"
    table = Table(title=title, title_justify="left")
    table.add_column("way")
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
    measured: tuple[list[Measured], list[Measured]],
    verdicts: Sequence[Verdict],
) -> None:
    """Write results.json and chart.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    base, scaled = measured
    results = {
        "machine": machine,
        **asdict(plan),
        "measured": [asdict(one) for one in (*base, *scaled)],
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
