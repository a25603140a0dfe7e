"""What the command prints: reports, progress, errors with their hints; as text, or as JSON.

In: what a call of the library returned or raised. Out: results on stdout, progress and errors on
stderr, the exit code of a failure. Holds nothing.
"""

from __future__ import annotations

import errno
import logging
import shlex
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console

from loader import printable
from loader.errors import AircanError, Cancelled, Unexpected, UsageError, memory_ours
from loader.progress import Bar, Lines, Progress
from loader.report import Outcome, Report, TableState

# How a user of the command sets the options that an error may name: by a variable, or by a flag.
_VARIABLES = {
    "ckan_url": "AIRCAN_CKAN_URL",
    "ckan_token": "AIRCAN_CKAN_TOKEN",
    "datastore_url": "AIRCAN_DATASTORE_URL",
}
_FLAGS = frozenset(
    (
        *("resource_id", "mode", "key", "via", "lanes", "full_text", "fts_index", "schema"),
        *("encoding", "delimiter", "header_row", "max_bad_rows", "max_bad_share"),
        *("default_encoding", "types", "dates", "decimal", "missing", "keep_types", "strip"),
        *("rejects", "on_type_error"),
        *("on_concurrent_writes", "max_bytes", "max_ratio", "min_rate"),
    )
)
_TABLES: dict[TableState, str] = {
    "untouched": "as it was",
    "replaced": "the new rows are in, the old ones are gone",
    "merged": "the rows are in",
    "partly": "half done, neither as it was nor complete",
    "dropped": "dropped",
    "unknown": "nobody can know: look at it before you load again",
}
_REJECTS_SHOWN = 3
_QUERIED_COLUMNS = 4  # and not _full_text, which is longer than all others together
_DONE = {"replace": "loaded into", "append": "added to", "upsert": "put into"}


@contextmanager
def errors(debug: bool, report: Report | None = None) -> Iterator[None]:
    """Turn our errors into one line, a hint and an exit code.

    Args:
        debug: Whether to show tracebacks.
        report: What to print as JSON if nothing of the load is known; None: no JSON.
    """
    if debug:
        handler = logging.StreamHandler()
        handler.setFormatter(printable.LogFormatter("%(asctime)s %(name)s: %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        with _ours():
            yield
    except AircanError as error:
        if debug:
            typer.echo(printable.lines(traceback.format_exc()), err=True)
        typer.echo(f"aircan: {error}", err=True)  # one line by itself
        if error.hint:
            typer.echo(printable.shown(f"  hint: {error.hint}{_named(error.option)}"), err=True)
        if error.report:
            _tell_table(error.table)
        if report:
            report.error, report.table = error, error.table
            print_json((error.report or report).to_dict())
        raise typer.Exit(2 if isinstance(error, UsageError) else 1) from error


def _named(option: str | None) -> str:
    """Return an option of the library as the commands have it, in brackets; or nothing."""
    if option in _VARIABLES:
        return f" ({_VARIABLES[option]})"
    return f" (--{option.replace('_', '-')})" if option in _FLAGS else ""


def _tell_table(table: TableState) -> None:
    typer.echo(f"  table: {_TABLES[table]}", err=True)


@contextmanager
def _ours() -> Iterator[None]:
    """Make every exception one of ours, but for those with which click ends a command."""
    try:
        with memory_ours():
            yield
    except (AircanError, typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt as interrupt:
        raise Cancelled("stopped") from interrupt
    except Exception as error:  # the outermost edge: nobody else would tell it
        # Without its text, which may hold a URL.
        raise Unexpected(
            f"unexpected {type(error).__name__}: please report this; --debug shows where"
        ) from error


@contextmanager
def progress() -> Iterator[Progress]:
    """Show a bar on a terminal; else write lines."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    with Bar(console) as bar:
        yield bar


def say(text: str) -> None:
    """Print on stdout; if that fails, ``main`` says so at the end."""
    typer.echo(text)


def print_json(value: dict[str, Any]) -> None:
    """Print an object as JSON, with what a terminal obeys or cannot show as escapes."""
    say(printable.to_json(value))


def print_report(report: Report, as_json: bool) -> None:
    """Print what a load did."""
    if as_json:
        print_json(report.to_dict())
    else:
        _print_summary(report)


def print_outcomes(outcomes: Sequence[Outcome], as_json: bool) -> None:
    """Print what became of each of many resources."""
    if as_json:
        print_json({"resources": [outcome.to_dict() for outcome in outcomes]})
        return
    if not outcomes:
        say("there are no resources")
        return
    rows = [("dataset", "resource", "name", "", "rows", "")]
    for outcome in outcomes:
        loaded = f"{outcome.report.rows:,}" if outcome.status == "loaded" and outcome.report else ""
        rows.append(
            (
                outcome.dataset,
                outcome.resource_id,
                outcome.name,
                outcome.status,
                loaded,
                outcome.reason,
            )
        )
    _print_table(rows)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    rows = [[printable.shown(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        say("  ".join(cells).rstrip())


def _print_summary(report: Report) -> None:
    rows = [("column", "type", "")]
    for column in report.columns:
        widened = f"widened from {column['widened_from']}" if column["widened_from"] else ""
        rows.append((str(column["id"]), str(column["type"]), widened))
    _print_table(rows)
    say(
        f"\n{report.rows:,} rows {_DONE[report.mode]} {printable.shown(report.resource_id)}"
        f" in {report.timings_s['total']:.1f} s ({report.rows_per_second:,} rows/s)"
    )
    bad = report.bad_rows
    if bad.rejected:
        say(printable.shown(f"rows set aside: {bad.rejected:,}, in {bad.rejects}"))
        for reject in bad.first[:_REJECTS_SHOWN]:
            say(printable.shown(f"  row {reject['row']}: {reject['reason']}"))
    for warning in report.warnings:
        say(printable.shown(warning))


def print_query(report: Report) -> None:
    """Print a command that shows some rows of a load into the embedded PostgreSQL."""
    quoted = printable.shown(shlex.quote(query(report)))
    say(f"\nQuery it:  {command_name()} db psql -c {quoted}")


def query(report: Report) -> str:
    """Return a SELECT of some rows that were loaded."""
    named = [str(column["id"]) for column in report.columns]
    # What cannot be shown cannot be pasted.
    names = [name for name in named if printable.shown(name) == name][:_QUERIED_COLUMNS]
    chosen = ", ".join(f'"{name}"' for name in ("_id", *names))
    return f'SELECT {chosen} FROM "{report.resource_id}" ORDER BY 1 LIMIT 5'  # noqa: S608  for a person


def command_name() -> str:
    """Return how this command was called, so that what is printed can be pasted."""
    called = sys.argv[0]
    if Path(called).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m loader"
    if Path(called).name != "aircan" or shutil.which("aircan") == shutil.which(called):
        return "aircan"
    return shlex.quote(called)


def tell_lost(error: OSError) -> None:
    """Say that the output is lost, unless its reader has closed the pipe: that is no fault."""
    if isinstance(error, BrokenPipeError):
        return
    reason = error.strerror or type(error).__name__
    if error.errno == errno.EBADF:
        reason = "it is closed"
    typer.echo(f"aircan: the output cannot be written: {reason}", err=True)
    typer.echo("  hint: it is done all the same, unless an error stands above", err=True)
