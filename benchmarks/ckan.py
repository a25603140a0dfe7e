"""Measure AirCan against ckanext-xloader in a real CKAN, and hold it to its bounds.

In: options. Out: a table on the terminal; with ``--out``, ckan.json. Exit: 0 when every bound
holds, 1 when one is broken, 2 when a load failed. Memory: small; every load is a process of its
own.

    python -m benchmarks.ckan                the full run, about an hour and a half

CKAN 2.12.0 is that of the tests: below ``.ckan``, or below the folder that AIRCAN_TEST_CKAN names.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import generate
from benchmarks.ckan_bounds import Measured, Run, Verdict, check
from benchmarks.ckan_measure import WAYS, Data, measure, read_facts
from benchmarks.ckan_server import CKAN, XLOADER, Refused, Site, site
from benchmarks.measure import WrongResult
from benchmarks.run import describe_machine

_ROWS = 1_000_000
_API_ROWS = 100_000  # some 25 s; a million would take four minutes and tell the same


@dataclass(frozen=True)
class Plan:
    """What to measure, and how often."""

    kinds: tuple[str, ...]
    rows: int
    api_rows: int
    runs: int
    lanes: int

    def rows_of(self, way: str) -> int:
        """Return how many rows a way loads."""
        return self.api_rows if way == "api" else self.rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    # A log file has no width; the table needs this much.
    console = Console() if sys.stdout.isatty() else Console(width=110)
    plan = Plan(tuple(options.kinds), options.rows, options.api_rows, options.runs, options.lanes)
    try:
        machine, measured = _measure_all(plan, console)
    except (subprocess.SubprocessError, WrongResult, Refused, OSError) as error:
        told = getattr(error, "stderr", None) or ""
        console.print(f"not measured: {error}\n{told}", style="bold red", markup=False)
        return 2
    verdicts = check(measured)
    console.print(table(measured))
    if options.out:
        write(options.out, machine, plan, measured, verdicts)
    return conclude(verdicts, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ckan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = list(generate.KINDS)
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--rows", type=int, default=_ROWS, help="rows of each file")
    parser.add_argument("--api-rows", type=int, default=_API_ROWS, help="of those for the API")
    parser.add_argument("--runs", type=int, default=3, help="runs of each way; the median counts")
    parser.add_argument("--lanes", type=int, default=2, help="connections that AirCan copies with")
    parser.add_argument("--out", type=Path, help="folder for ckan.json")
    return parser


def _measure_all(plan: Plan, console: Console) -> tuple[str, list[Measured]]:
    """Measure every file, one kind after the other; return the machine and what was measured."""
    with site() as there:
        machine = f"{describe_machine(there.server)}, CKAN {CKAN}, ckanext-xloader {XLOADER}"
        console.print(machine, highlight=False)
        return machine, [
            one for kind in plan.kinds for one in _measure_kind(there, plan, kind, console)
        ]


def _measure_kind(there: Site, plan: Plan, kind: str, console: Console) -> Iterator[Measured]:
    """Measure each way once, then each again: what slows the machine slows them all alike."""
    work = {way: _generate(kind, plan.rows_of(way), there.folder) for way in WAYS}
    taken: dict[str, list[Run]] = {way: [] for way in WAYS}
    for number in range(1, plan.runs + 1):
        for way, data in work.items():
            run = measure(there, way, data, plan.lanes)
            taken[way].append(run)
            console.print(
                f"{kind} {data.facts.rows:,} rows, run {number} of {plan.runs}: {way} "
                f"readable {run.readable:.2f} s, visible {run.visible:.2f} s, "
                f"finished {run.finished:.2f} s",
                highlight=False,
            )
    for way, data in work.items():
        size = data.path.stat().st_size
        yield Measured(kind, way, data.facts.rows, size, taken[way])
    for path in {data.path for data in work.values()}:
        path.unlink()


def _generate(kind: str, rows: int, folder: Path) -> Data:
    path = folder / f"{kind}-{rows}.csv"
    generate.write(kind, rows, path)
    return Data(kind, path, read_facts(kind, path))


def table(measured: Sequence[Measured]) -> Table:
    """Return the figures: medians, and the runs they are of."""
    made = Table(title_justify="left")
    for column in ("file", "way"):
        made.add_column(column, no_wrap=True)
    for column in ("rows", "readable s", "visible s", "finished s", "runs, finished", "rows/s"):
        made.add_column(column, justify="right")
    for one in measured:
        made.add_row(
            one.kind,
            WAYS[one.way],
            f"{one.rows:,}",
            *(f"{one.seconds(stage):.2f}" for stage in ("readable", "visible", "finished")),
            " ".join(f"{run.finished:.2f}" for run in one.runs),
            f"{one.rows_per_second():,.0f}",
        )
    return made


def write(
    folder: Path,
    machine: str,
    plan: Plan,
    measured: Sequence[Measured],
    verdicts: Sequence[Verdict],
) -> None:
    """Write ckan.json."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "machine": machine,
        **asdict(plan),
        "measured": [asdict(one) for one in measured],
        "bounds": [{**asdict(verdict), "holds": verdict.holds} for verdict in verdicts],
    }
    (folder / "ckan.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def conclude(verdicts: Sequence[Verdict], console: Console) -> int:
    """Print every verdict, the broken ones last; return the exit code."""
    for verdict in sorted(verdicts, key=lambda verdict: not verdict.holds):
        console.print(str(verdict), style=None if verdict.holds else "bold red", highlight=False)
    return 0 if all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
