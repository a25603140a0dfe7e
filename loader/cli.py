"""The command ``aircan``: a thin skin over the library.

Progress goes to stderr, the report to stdout. Exit: 0 loaded, 1 failed with the old table
untouched, 2 wrong usage.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loader import __version__, describe, embedded
from loader.copy import database, relation
from loader.errors import AircanError, UsageError
from loader.options import Options
from loader.pipeline import default_datastore
from loader.pipeline import load as load_source
from loader.progress import Bar, Lines, Progress
from loader.report import Report

app = typer.Typer(
    help="Load large CSV files into a CKAN DataStore: typed, verified, nothing lost.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
db = typer.Typer(help="The embedded PostgreSQL in your data folder.", no_args_is_help=True)
app.add_typer(db, name="db")

SourceArgument = Annotated[str, typer.Argument(help="A path, or an http(s):// or gs:// URL.")]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--datastore-url",
        help="A Postgres URL. Better in AIRCAN_DATASTORE_URL, which no process list shows."
        " [default: the embedded PostgreSQL]",
        show_default=False,
    ),
]
SchemaOption = Annotated[
    Path | None,
    typer.Option(help="A Table Schema or Resource descriptor, JSON.", metavar="FILE"),
]
EncodingOption = Annotated[
    str | None, typer.Option(help="Such as windows-1252. [default: found]", show_default=False)
]
DelimiterOption = Annotated[
    str | None, typer.Option(help="One character, or 'tab'. [default: found]", show_default=False)
]
HeaderRowOption = Annotated[
    int | None,
    typer.Option(help="Counted from 1; 0 for none. [default: found]", show_default=False),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Log, and show tracebacks.")]


def main() -> NoReturn:
    """Run the command and exit."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
    sys.exit(0)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"aircan {__version__}")
        raise typer.Exit


@app.command()
def load(
    source: SourceArgument,
    resource_id: Annotated[
        str | None,
        typer.Option(help="The table's name. [default: the file's name]", show_default=False),
    ] = None,
    datastore_url: UrlOption = None,
    lanes: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="[default: the cores, at most 4]", show_default=False),
    ] = None,
    schema: SchemaOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    header_row: HeaderRowOption = None,
    full_text: Annotated[
        Literal["all", "text", "none"], typer.Option(help="Columns that search finds.")
    ] = "all",
    fts_index: Annotated[
        Literal["gin", "gist", "none"], typer.Option(help="The index of the full text.")
    ] = "gin",
    max_bad_rows: Annotated[
        int, typer.Option(min=0, help="Rows that may be set aside.")
    ] = Options.max_bad_rows,
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="Where they go. [default: RESOURCE_ID.rejects.csv]",
            show_default=False,
            metavar="PATH",
        ),
    ] = None,
    on_type_error: Annotated[
        Literal["fail", "widen"],
        typer.Option(help="What a value does that its declared type cannot hold."),
    ] = "fail",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    debug: DebugOption = False,
) -> None:
    """Load SOURCE into a table, which is replaced when the new one is whole."""
    with _errors(debug, as_json):
        options = _options(
            schema,
            resource_id=resource_id,
            datastore_url=datastore_url,
            encoding=encoding,
            delimiter=delimiter,
            header_row=header_row,
            lanes=lanes,
            full_text=full_text,
            fts_index=fts_index,
            max_bad_rows=max_bad_rows,
            rejects=rejects,
            on_type_error=on_type_error,
        )
        with _progress() as progress:
            report = load_source(source, options, progress)
    if as_json:
        _print_json(report.to_dict())
        return
    _print_report(report)
    if datastore_url is None and "AIRCAN_DATASTORE_URL" not in os.environ:
        query = f'SELECT * FROM "{report.resource_id}" LIMIT 5'
        typer.echo(f"\nQuery it:  aircan db psql -c {shlex.quote(query)}")


@app.command()
def infer(
    source: SourceArgument,
    schema: SchemaOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    header_row: HeaderRowOption = None,
    debug: DebugOption = False,
) -> None:
    """Print SOURCE's frictionless Resource descriptor, guessed from its beginning."""
    with _errors(debug):
        options = _options(schema, encoding=encoding, delimiter=delimiter, header_row=header_row)
        _print_json(describe.infer(source, options))


@app.command()
def validate(
    source: SourceArgument,
    schema: SchemaOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    header_row: HeaderRowOption = None,
    debug: DebugOption = False,
) -> None:
    """Print frictionless's report on every row of SOURCE; exit 1 if it is not valid."""
    with _errors(debug):
        options = _options(schema, encoding=encoding, delimiter=delimiter, header_row=header_row)
        report = describe.validate(source, options)
        _print_json(report)
    if not report["valid"]:
        raise typer.Exit(1)


@app.command()
def cleanup(
    datastore_url: UrlOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list.")] = False,
    debug: DebugOption = False,
) -> None:
    """Drop the tables that killed loads have left behind."""
    with _errors(debug):
        url = database.normalise_url(datastore_url or default_datastore())
        with closing(database.connect(url, "cleanup")) as connection:
            orphans = relation.drop_all_orphans(connection, dry_run=dry_run)
    for orphan in orphans:
        typer.echo(f"{'would drop' if dry_run else 'dropped'} {orphan}")
    if not orphans:
        typer.echo("nothing to clean up")


@db.command()
def start(debug: DebugOption = False) -> None:
    """Start the server and print its URL."""
    with _errors(debug):
        typer.echo(embedded.start())


@db.command()
def stop(debug: DebugOption = False) -> None:
    """Stop the server; the data stays."""
    with _errors(debug):
        typer.echo("stopped" if embedded.stop() else "it was not running")


@db.command()
def url(debug: DebugOption = False) -> None:
    """Print the running server's URL."""
    with _errors(debug):
        address = embedded.url()
        if address is None:
            raise UsageError("the embedded PostgreSQL is not running", hint="aircan db start")
        typer.echo(address)


@db.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql on the server; further arguments are psql's."""
    with _errors(debug=False):
        command = embedded.psql(context.args)
    os.execv(command[0], command)  # noqa: S606  # the wheel's own psql, no shell


def _options(schema: Path | None, **given: Any) -> Options:
    """Return the options; a Resource descriptor's encoding and dialect come after the given."""
    descriptor = _read_json(schema) if schema else {}
    if "schema" in descriptor:
        given["schema"] = descriptor["schema"]
        given["dialect"] = descriptor.get("dialect")
        given["encoding"] = given["encoding"] or descriptor.get("encoding")
    elif descriptor:
        given["schema"] = descriptor
    return Options(**given)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        descriptor = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(descriptor, dict):
        raise UsageError(f"{path} is not a descriptor", hint="a JSON object is expected")
    return descriptor


@contextmanager
def _errors(debug: bool, as_json: bool = False) -> Iterator[None]:
    """Turn our errors into one line, a hint and an exit code."""
    if debug:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    try:
        yield
    except AircanError as error:
        if debug:
            raise
        if as_json:
            _print_json((error.report or _no_report(error)).to_dict())
        typer.echo(f"aircan: {error}", err=True)
        if error.hint:
            typer.echo(f"  hint: {error.hint}", err=True)
        raise typer.Exit(2 if isinstance(error, UsageError) else 1) from error


def _no_report(error: AircanError) -> Report:
    report = Report("", "")
    report.error = error
    return report


@contextmanager
def _progress() -> Iterator[Progress]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    with Bar(console) as bar:
        yield bar


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print_report(report: Report) -> None:
    console = Console(highlight=False)
    seconds = report.timings_s["total"]
    columns = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("column", "type", ""):
        columns.add_column(title)
    for column in report.columns:
        widened = f"widened from {column['widened_from']}" if column["widened_from"] else ""
        columns.add_row(Text(str(column["id"])), Text(str(column["type"])), widened)
    console.print(columns)
    console.print(
        Text(
            f"\n{report.rows:,} rows in {report.resource_id}, {seconds:.1f} s,"
            f" {report.rows_per_second:,} rows/s"
        )
    )
    bad = report.bad_rows
    if bad.repaired:
        console.print(Text(f"{bad.repaired:,} rows were padded or trimmed"))
    if bad.rejected:
        console.print(Text(f"{bad.rejected:,} rows were set aside: {bad.rejects}"))
    for warning in report.warnings:
        console.print(Text(warning))
