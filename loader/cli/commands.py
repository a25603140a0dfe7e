"""The command ``aircan``: a thin skin over the library.

In: arguments. Out: progress and errors on stderr, the report on stdout, and the exit code: 0 done,
1 failed, 2 wrong usage. Holds nothing of the data.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import pyarrow as pa
import typer
from rich.cells import cell_len
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from loader import __version__, describe, printable, resources
from loader.cli import streams
from loader.copy import database, gone, relation
from loader.embedded import server as embedded
from loader.errors import (
    AircanError,
    Cancelled,
    DatabaseUnreachable,
    Unexpected,
    UsageError,
    memory_told,
)
from loader.options import (
    Options,
    completed,
    default_resource_id,
    named_datastore,
)
from loader.pipeline import load as load_source
from loader.progress import Bar, Lines, Progress
from loader.report import Report
from loader.resources import Outcome
from loader.source import Limits, SourceSettings, mask_text, mask_uri
from loader.table_state import TableState
from loader.types.descriptor import from_json

if TYPE_CHECKING:
    from loader.copy.database import Connection

_COMMANDS = "COMMAND [ARGS]..."
_REJECTS_SHOWN = 3
_QUERIED_COLUMNS = 4  # and not _full_text, which is longer than all others together

# What errors call the options of a load, and the commands have.
_VARIABLES = {
    "ckan_url": "AIRCAN_CKAN_URL",
    "ckan_token": "AIRCAN_CKAN_TOKEN",
    "datastore_url": "AIRCAN_DATASTORE_URL",
}
_FLAGS = frozenset(
    (
        *("resource_id", "mode", "key", "via", "lanes", "full_text", "fts_index", "schema"),
        *("encoding", "delimiter", "header_row", "max_bad_rows", "rejects", "on_type_error"),
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
_DONE = {"replace": "loaded into", "append": "added to", "upsert": "put into"}

# click's UsageError, which typer has under a name of its own.
_WRONG_USAGE: type[Exception] = typer.BadParameter.__mro__[1]


class _Group(TyperGroup):
    """All commands: what is quoted of wrong arguments, among which may be a URL, is masked."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _masked():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with _masked():
            return super().invoke(ctx)


@contextmanager
def _masked() -> Iterator[None]:
    try:
        yield
    except _WRONG_USAGE as error:
        error.message = mask_text(error.message)  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    cls=_Group,
    help="Load large CSV files into a CKAN DataStore: typed, verified, nothing lost.",
    no_args_is_help=True,
    subcommand_metavar=_COMMANDS,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
db = typer.Typer(
    help="The embedded PostgreSQL in your data folder.",
    no_args_is_help=True,
    subcommand_metavar=_COMMANDS,
)
app.add_typer(db, name="db")

# The commands' help tells what it is; typer would add a type to the name.
SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", hidden=True)]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--datastore-url",
        help="A Postgres URL. Better in AIRCAN_DATASTORE_URL, which no process list shows."
        " [default: the embedded PostgreSQL]",
        metavar="URL",
        show_default=False,
    ),
]
CkanUrlOption = Annotated[
    str | None,
    typer.Option(
        "--ckan-url",
        help="The CKAN that has the resource. Its API token goes in AIRCAN_CKAN_TOKEN."
        " [default: AIRCAN_CKAN_URL]",
        metavar="URL",
        show_default=False,
    ),
]
CleanupCkanUrlOption = Annotated[
    str | None,
    typer.Option(
        "--ckan-url",
        help="The CKAN whose DataStore it is: the tables go whose resources it has no more."
        " [default: AIRCAN_CKAN_URL]",
        metavar="URL",
        show_default=False,
    ),
]
DataStoreOption = Annotated[
    str | None,
    typer.Option(
        "--datastore-url",
        help="A Postgres URL. Better in AIRCAN_DATASTORE_URL, which no process list shows."
        " [default: the embedded PostgreSQL; with a CKAN none, its API is used]",
        metavar="URL",
        show_default=False,
    ),
]
ViaOption = Annotated[
    Literal["auto", "copy", "api"],
    typer.Option(
        help="Into the DataStore's database, or through CKAN's API. [default: auto]",
        metavar="auto|copy|api",
        show_default=False,
    ),
]
LanesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=64,
        help="Connections that copy side by side. [default: the cores, at most 4]",
        metavar="N",
        show_default=False,
    ),
]
FullTextOption = Annotated[
    Literal["all", "text", "none"],
    typer.Option(
        help="The columns that search finds. [default: all]",
        metavar="all|text|none",
        show_default=False,
    ),
]
FtsIndexOption = Annotated[
    Literal["gin", "gist", "none"],
    typer.Option(
        help="The index on their full text. [default: gin]",
        metavar="gin|gist|none",
        show_default=False,
    ),
]
MaxBadRowsOption = Annotated[
    int,
    typer.Option(
        min=0,
        help="Rows that may be set aside. [default: 1000]",
        metavar="N",
        show_default=False,
    ),
]
OnTypeErrorOption = Annotated[
    Literal["fail", "widen"],
    typer.Option(
        help="What to do about a value that its declared type cannot hold. [default: fail]",
        metavar="fail|widen",
        show_default=False,
    ),
]
OnConcurrentWritesOption = Annotated[
    Literal["warn", "keep", "refuse"],
    typer.Option(
        help="What to do about rows that others write into the table that is being replaced."
        " [default: warn]",
        metavar="warn|keep|refuse",
        show_default=False,
    ),
]
MaxBytesOption = Annotated[
    str | None,
    typer.Option(
        help="What SOURCE may have, unpacked: 500MiB, 10GB. [default: 1 TiB]",
        metavar="SIZE",
        show_default=False,
    ),
]
MaxRatioOption = Annotated[
    str | None,
    typer.Option(
        help="Unpacked bytes for a packed one. [default: 400; bz2, xz, zstd: 2000]",
        metavar="N",
        show_default=False,
    ),
]
MinRateOption = Annotated[
    str | None,
    typer.Option(
        help="What SOURCE has to send in a second; 0 for any. [default: 1KiB]",
        metavar="SIZE",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
SchemaOption = Annotated[
    Path | None,
    typer.Option(
        help="A Table Schema or Resource descriptor, JSON.", metavar="FILE", show_default=False
    ),
]
EncodingOption = Annotated[
    str | None,
    typer.Option(help="Such as windows-1252. [default: found]", metavar="NAME", show_default=False),
]
DelimiterOption = Annotated[
    str | None,
    typer.Option(
        help="One character, or 'tab'. [default: found]", metavar="CHARACTER", show_default=False
    ),
]
HeaderRowOption = Annotated[
    int | None,
    typer.Option(
        help="Counted from 1; 0 for none. [default: found]", metavar="N", show_default=False
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Log, and show tracebacks.")]


class _Command(TyperCommand):
    """A command whose usage line names its argument as all manuals do: SOURCE, not {SOURCE}."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


def main() -> NoReturn:
    """Run the command and exit."""
    # Arrow's own keeps what is freed: a load took 65 MB more, and no less time.
    pa.set_memory_pool(pa.system_memory_pool())
    gc.freeze()  # what was imported stays: to look through it again, at exit too, costs 0.3 s
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    output = streams.take()
    code = _called_app()
    sys.stdout.flush()
    if output.error is not None:
        code = code or 1
        _tell_lost(output.error)
    sys.exit(code)


def _called_app() -> int:
    """Run what was asked for, and return the exit code: typer ends all of it by SystemExit."""
    try:
        app(prog_name="aircan")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0


def _tell_lost(error: OSError) -> None:
    """Tell that the output is lost, but for a reader that has had enough: that is no fault."""
    if isinstance(error, BrokenPipeError):
        return
    reason = error.strerror or type(error).__name__
    if error.errno == errno.EBADF:
        reason = "it is closed"
    typer.echo(f"aircan: the output cannot be written: {reason}", err=True)
    typer.echo("  hint: it is done all the same, unless an error stands above", err=True)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        _say(f"aircan {__version__}")
        raise typer.Exit


@app.command(cls=_Command, short_help="Load SOURCE into a table.")
def load(
    source: SourceArgument,
    resource_id: Annotated[
        str | None,
        typer.Option(
            help="The table's name. [default: the file's name]", metavar="ID", show_default=False
        ),
    ] = None,
    mode: Annotated[
        Literal["replace", "append", "upsert"],
        typer.Option(
            help="What becomes of the rows in the table. [default: replace]",
            metavar="replace|append|upsert",
            show_default=False,
        ),
    ] = "replace",
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="A column of the unique key; once for each. [default: the table's]",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
    via: ViaOption = "auto",
    datastore_url: DataStoreOption = None,
    ckan_url: CkanUrlOption = None,
    lanes: LanesOption = None,
    schema: SchemaOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    header_row: HeaderRowOption = None,
    full_text: FullTextOption = "all",
    fts_index: FtsIndexOption = "gin",
    max_bad_rows: MaxBadRowsOption = Options.max_bad_rows,
    rejects: Annotated[
        Path | None,
        typer.Option(
            help="The file they go to. [default: ID.rejects.csv]",
            show_default=False,
            metavar="PATH",
        ),
    ] = None,
    on_type_error: OnTypeErrorOption = "fail",
    on_concurrent_writes: OnConcurrentWritesOption = "warn",
    max_bytes: MaxBytesOption = None,
    max_ratio: MaxRatioOption = None,
    min_rate: MinRateOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Load SOURCE into a table, which is replaced when the new one is whole.

    SOURCE is a path, or an http(s):// or gs:// URL, of a CSV file, packed or not. With a CKAN,
    the table is that of a resource in its DataStore, and CKAN is told of it.
    """
    failed = Report(resource_id or default_resource_id(source), mask_uri(source), mode=mode)
    with _errors(debug, failed if as_json else None):
        options = _options(
            schema,
            resource_id=resource_id,
            mode=mode,
            key=tuple(key or ()),
            via=via,
            datastore_url=datastore_url,
            ckan_url=ckan_url,
            encoding=encoding,
            delimiter=delimiter,
            header_row=header_row,
            lanes=lanes,
            full_text=full_text,
            fts_index=fts_index,
            max_bad_rows=max_bad_rows,
            rejects=rejects,
            rejects_folder=Path(),
            on_type_error=on_type_error,
            on_concurrent_writes=on_concurrent_writes,
            source=_source(max_bytes, max_ratio, min_rate),
        )
        with _progress() as progress:
            report = load_source(source, completed(options), progress)
    _print(report, as_json)
    if not as_json and report.via == "copy" and not named_datastore(datastore_url):
        query = printable.shown(shlex.quote(_query(report)))
        _say(f"\nQuery it:  {_called()} db psql -c {query}")


@app.command(short_help="Load the file of a resource in CKAN.")
def reload(
    resource_id: Annotated[
        str | None, typer.Argument(metavar="RESOURCE_ID", show_default=False, hidden=True)
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="All resources of this dataset.", metavar="NAME", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All resources of the CKAN.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also files that are in the DataStore already.")
    ] = False,
    via: ViaOption = "auto",
    datastore_url: DataStoreOption = None,
    ckan_url: CkanUrlOption = None,
    lanes: LanesOption = None,
    full_text: FullTextOption = "all",
    fts_index: FtsIndexOption = "gin",
    max_bad_rows: MaxBadRowsOption = Options.max_bad_rows,
    on_type_error: OnTypeErrorOption = "fail",
    on_concurrent_writes: OnConcurrentWritesOption = "warn",
    max_bytes: MaxBytesOption = None,
    max_ratio: MaxRatioOption = None,
    min_rate: MinRateOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Load the file of a resource in CKAN, as CKAN describes it: RESOURCE_ID, or many.

    Of many, those are left out whose file is the one that was loaded last.
    """
    failed = Report(resource_id or "", "")
    with _errors(debug, failed if as_json and resource_id else None):
        if [resource_id is not None, dataset is not None, every].count(True) != 1:
            raise UsageError("name one: a RESOURCE_ID, --dataset NAME, or --all")
        options = Options(
            via=via,
            datastore_url=datastore_url,
            ckan_url=ckan_url,
            lanes=lanes,
            full_text=full_text,
            fts_index=fts_index,
            max_bad_rows=max_bad_rows,
            rejects_folder=Path(),
            on_type_error=on_type_error,
            on_concurrent_writes=on_concurrent_writes,
            source=_source(max_bytes, max_ratio, min_rate),
        )
        if resource_id is not None:
            with _progress() as progress:
                report = resources.reload(resource_id, options, progress)
            _print(report, as_json)
            return
        outcomes: list[Outcome] = []
        try:
            with _progress() as progress:
                many = (
                    resources.reload_all(options, force=force, progress=progress)
                    if dataset is None
                    else resources.reload_dataset(dataset, options, force=force, progress=progress)
                )
                outcomes.extend(many)
        finally:  # what was done is told, also when the rest cannot be
            if outcomes:
                _print_outcomes(outcomes, as_json)
    if not outcomes:
        _print_outcomes(outcomes, as_json)
    if any(outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(1)


@app.command(cls=_Command, short_help="Print what SOURCE is: a Resource descriptor.")
def infer(
    source: SourceArgument,
    schema: SchemaOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    header_row: HeaderRowOption = None,
    max_bytes: MaxBytesOption = None,
    max_ratio: MaxRatioOption = None,
    min_rate: MinRateOption = None,
    debug: DebugOption = False,
) -> None:
    """Print what SOURCE is, guessed from its beginning: a frictionless Resource descriptor."""
    with _errors(debug):
        options = _options(
            schema,
            encoding=encoding,
            delimiter=delimiter,
            header_row=header_row,
            source=_source(max_bytes, max_ratio, min_rate),
        )
        _print_json(describe.infer(source, options))


@app.command(cls=_Command, short_help="Check every row of SOURCE.")
def validate(
    source: SourceArgument,
    schema: SchemaOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    header_row: HeaderRowOption = None,
    max_bytes: MaxBytesOption = None,
    max_ratio: MaxRatioOption = None,
    min_rate: MinRateOption = None,
    debug: DebugOption = False,
) -> None:
    """Check every row of SOURCE and print frictionless's report; exit 1 if it is not valid."""
    with _errors(debug):
        options = _options(
            schema,
            encoding=encoding,
            delimiter=delimiter,
            header_row=header_row,
            source=_source(max_bytes, max_ratio, min_rate),
        )
        report = describe.validate(source, options)
        _print_json(report)
    if not report["valid"]:
        raise typer.Exit(1)


@app.command(short_help="Drop tables of killed loads and deleted resources.")
def cleanup(
    datastore_url: UrlOption = None,
    ckan_url: CleanupCkanUrlOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list.")] = False,
    debug: DebugOption = False,
) -> None:
    """Drop the tables that killed loads have left, and those of deleted resources."""
    left = False
    with _errors(debug):
        url = database.normalise_url(named_datastore(datastore_url) or embedded.start())
        with closing(database.connect(url, "cleanup")) as connection:
            # Each at once: a fault with the next one is not to hide that it is dropped.
            for table in _drop_unneeded(connection, ckan_url, dry_run=dry_run):
                left = True
                _say(f"{'would drop' if dry_run else 'dropped'} {printable.shown(table)}")
    if not left:
        _say("nothing to clean up")


def _drop_unneeded(connection: Connection, ckan_url: str | None, *, dry_run: bool) -> Iterator[str]:
    """Drop what killed loads have left, and the tables of resources that are gone."""
    yield from relation.drop_all_orphans(connection, dry_run=dry_run)
    options = completed(Options(ckan_url=ckan_url))
    if not options.ckan_url:
        return
    from loader.ckan.client import Ckan  # noqa: PLC0415  (0.4 s: only those who need it pay)

    ckan = Ckan(options.ckan_url, options.ckan_token)
    if gone.is_datastore_of(connection, ckan):
        yield from gone.drop_all(connection, ckan, dry_run=dry_run)
        return
    typer.echo(
        "aircan: no tables of deleted resources are looked for: the database is not"
        f" known to be the DataStore of {ckan.url}",
        err=True,
    )


@db.command()
def start(debug: DebugOption = False) -> None:
    """Start the server and print its URL."""
    with _errors(debug):
        _say(embedded.start())


@db.command()
def stop(debug: DebugOption = False) -> None:
    """Stop the server; the data stays."""
    with _errors(debug):
        _say("stopped" if embedded.stop() else "it was not running")


@db.command()
def url(debug: DebugOption = False) -> None:
    """Print the running server's URL."""
    with _errors(debug):
        address = embedded.url()
        if address is None:
            raise DatabaseUnreachable(
                "the embedded PostgreSQL is not running", hint="start it with: aircan db start"
            )
        _say(address)


@db.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql on the server; further arguments are psql's."""
    with _errors(debug=False):
        command = embedded.psql(context.args)
    os.execv(command[0], command)  # noqa: S606  # the wheel's own psql, no shell


def _options(schema: Path | None, **given: Any) -> Options:
    """Return the options; a Resource descriptor's encoding and dialect come after the given."""
    descriptor = _read_json(schema) if schema else {}
    if schema and "fields" not in descriptor:
        given["schema"] = _part(descriptor, "schema", schema)
        given["dialect"] = _part(descriptor, "dialect", schema)
        given["encoding"] = given["encoding"] or descriptor.get("encoding")
    else:
        given["schema"] = descriptor
    return Options(**given)


def _source(max_bytes: str | None, max_ratio: str | None, min_rate: str | None) -> SourceSettings:
    return SourceSettings(limits=Limits.read(max_bytes, max_ratio, min_rate))


def _read_json(path: Path) -> dict[str, Any]:
    shown = mask_uri(str(path))  # it may have been meant as a URL
    try:
        written = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {shown}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown} is not JSON: {error}") from error
    descriptor = from_json(written, shown)
    known = {"fields", "schema", "dialect", "encoding"}
    if not isinstance(descriptor, dict) or not known & descriptor.keys():
        raise UsageError(
            f"{shown} is neither a Table Schema nor a Resource descriptor",
            hint="a JSON object with 'fields' or 'schema' is expected; aircan infer writes one",
        )
    return descriptor


def _part(descriptor: Mapping[str, Any], name: str, path: Path) -> dict[str, Any] | None:
    """Return a descriptor inside a Resource descriptor, or in a file that it names."""
    part = descriptor.get(name)
    if isinstance(part, str):
        return _read_json(path.parent / part)
    if part is not None and not isinstance(part, dict):
        raise UsageError(f"{mask_uri(str(path))}: '{name}' is neither an object nor a path")
    return part


@contextmanager
def _errors(debug: bool, report: Report | None = None) -> Iterator[None]:
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
            _print_json((error.report or report).to_dict())
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
        with memory_told():
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
def _progress() -> Iterator[Progress]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    with Bar(console) as bar:
        yield bar


def _say(text: str) -> None:
    """Print on stdout; where that cannot be, ``main`` tells it when all is done."""
    typer.echo(text)


def _print_json(value: dict[str, Any]) -> None:
    _say(printable.to_json(value))


def _print(report: Report, as_json: bool) -> None:
    if as_json:
        _print_json(report.to_dict())
    else:
        _print_report(report)


def _print_outcomes(outcomes: Sequence[Outcome], as_json: bool) -> None:
    if as_json:
        _print_json({"resources": [outcome.to_dict() for outcome in outcomes]})
        return
    if not outcomes:
        _say("there are no resources")
        return
    rows = [("dataset", "resource", "name", "", "rows", "")]
    for one in outcomes:
        loaded = f"{one.report.rows:,}" if one.status == "loaded" and one.report else ""
        rows.append((one.dataset, one.resource_id, one.name, one.status, loaded, one.reason))
    _print_table(rows)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    rows = [[printable.shown(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        _say("  ".join(cells).rstrip())


def _print_report(report: Report) -> None:
    rows = [("column", "type", "")]
    for column in report.columns:
        widened = f"widened from {column['widened_from']}" if column["widened_from"] else ""
        rows.append((str(column["id"]), str(column["type"]), widened))
    _print_table(rows)
    _say(
        f"\n{report.rows:,} rows {_DONE[report.mode]} {printable.shown(report.resource_id)}"
        f" in {report.timings_s['total']:.1f} s ({report.rows_per_second:,} rows/s)"
    )
    bad = report.bad_rows
    if bad.repaired:
        _say(f"rows padded or trimmed: {bad.repaired:,}")
    if bad.rejected:
        _say(printable.shown(f"rows set aside: {bad.rejected:,}, in {bad.rejects}"))
        for reject in bad.first[:_REJECTS_SHOWN]:
            _say(printable.shown(f"  row {reject['row']}: {reject['reason']}"))
    for warning in report.warnings:
        _say(printable.shown(warning))


def _query(report: Report) -> str:
    named = [str(column["id"]) for column in report.columns]
    # What cannot be shown cannot be pasted.
    names = [name for name in named if printable.shown(name) == name][:_QUERIED_COLUMNS]
    chosen = ", ".join(f'"{name}"' for name in ("_id", *names))
    return f'SELECT {chosen} FROM "{report.resource_id}" ORDER BY 1 LIMIT 5'  # noqa: S608  for a person


def _called() -> str:
    """Return how this command was called, so that what is printed can be pasted."""
    called = sys.argv[0]
    if Path(called).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m loader"
    if Path(called).name != "aircan" or shutil.which("aircan") == shutil.which(called):
        return "aircan"
    return shlex.quote(called)
