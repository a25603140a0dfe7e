"""The command ``aircan``: a thin skin over the library.

In: arguments. Out: progress and errors on stderr, the report on stdout, and the exit code: 0 done,
1 failed, 2 wrong usage. Holds nothing of the data.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import pyarrow as pa
import typer
from typer.core import TyperCommand, TyperGroup

from loader import describe, printable, reloading
from loader.cli import options as opts
from loader.cli import output, streams
from loader.embedded import server as embedded
from loader.errors import DatabaseUnreachable, UsageError
from loader.net.uri import mask_text, mask_uri
from loader.options import Options, completed, default_resource_id, named_datastore
from loader.pipeline.load import load as load_source
from loader.pipeline.portal import required_ckan
from loader.report import Outcome, Report

if TYPE_CHECKING:
    from loader.copy.database import Connection

_COMMANDS = "COMMAND [ARGS]..."

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
    stdout = streams.take()
    code = _called_app()
    sys.stdout.flush()
    if stdout.error is not None:
        code = code or 1
        output.tell_lost(stdout.error)
    sys.exit(code)


def _called_app() -> int:
    """Run what was asked for, and return the exit code: typer ends all of it by SystemExit."""
    try:
        app(prog_name="aircan")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        output.say(f"aircan {metadata.version('aircan')}")
        raise typer.Exit


@app.command(cls=_Command, short_help="Load SOURCE into a table.")
def load(
    source: opts.Source,
    resource_id: opts.ResourceId = None,
    mode: opts.Mode = Options.mode,
    key: opts.Key = None,
    via: opts.Via = Options.via,
    datastore_url: opts.DataStore = None,
    ckan_url: opts.Ckan = None,
    lanes: opts.Lanes = None,
    schema: opts.Schema = None,
    encoding: opts.Encoding = None,
    default_encoding: opts.DefaultEncoding = None,
    delimiter: opts.Delimiter = None,
    header_row: opts.HeaderRow = None,
    types: opts.Types = Options.types,
    dates: opts.Dates = Options.dates,
    decimal: opts.Decimal = Options.decimal,
    missing: opts.Missing = Options.missing,
    keep_types: opts.KeepTypes = Options.keep_types,
    strip: opts.Strip = Options.strip,
    full_text: opts.FullText = Options.full_text,
    fts_index: opts.FtsIndex = Options.fts_index,
    max_bad_rows: opts.MaxBadRows = Options.max_bad_rows,
    max_bad_share: opts.MaxBadShare = Options.max_bad_share,
    rejects: opts.Rejects = None,
    on_type_error: opts.OnTypeError = Options.on_type_error,
    on_concurrent_writes: opts.OnConcurrentWrites = Options.on_concurrent_writes,
    max_bytes: opts.MaxBytes = None,
    max_ratio: opts.MaxRatio = None,
    min_rate: opts.MinRate = None,
    as_json: opts.Json = False,
    debug: opts.Debug = False,
) -> None:
    """Load SOURCE into a table, which is replaced when the new one is whole.

    SOURCE is a path, or an http(s):// or gs:// URL, of a CSV file, packed or not. With a CKAN,
    the table is that of a resource in its DataStore, and CKAN is told of it.
    """
    failed = Report(resource_id or default_resource_id(source), mask_uri(source), mode=mode)
    with output.errors(debug, failed if as_json else None):
        options = opts.described(
            schema,
            resource_id=resource_id,
            mode=mode,
            key=tuple(key or ()),
            via=via,
            datastore_url=datastore_url,
            ckan_url=ckan_url,
            encoding=encoding,
            default_encoding=default_encoding,
            delimiter=delimiter,
            header_row=header_row,
            types=types,
            dates=dates,
            decimal=decimal,
            missing=missing,
            keep_types=keep_types,
            strip=strip,
            lanes=lanes,
            full_text=full_text,
            fts_index=fts_index,
            max_bad_rows=max_bad_rows,
            max_bad_share=max_bad_share,
            rejects=rejects,
            rejects_folder=Path(),
            on_type_error=on_type_error,
            on_concurrent_writes=on_concurrent_writes,
            source=opts.limited(max_bytes, max_ratio, min_rate),
        )
        with output.progress() as progress:
            report = load_source(source, completed(options), progress)
    output.print_report(report, as_json)
    if not as_json and report.via == "copy" and not named_datastore(datastore_url):
        output.print_query(report)


@app.command(short_help="Load the file of a resource in CKAN.")
def reload(
    resource_id: opts.Resource = None,
    dataset: opts.Dataset = None,
    every: opts.All = False,
    force: opts.Force = False,
    via: opts.Via = Options.via,
    datastore_url: opts.DataStore = None,
    ckan_url: opts.Ckan = None,
    lanes: opts.Lanes = None,
    default_encoding: opts.DefaultEncoding = None,
    types: opts.Types = Options.types,
    dates: opts.Dates = Options.dates,
    decimal: opts.Decimal = Options.decimal,
    missing: opts.Missing = Options.missing,
    keep_types: opts.KeepTypes = Options.keep_types,
    strip: opts.Strip = Options.strip,
    full_text: opts.FullText = Options.full_text,
    fts_index: opts.FtsIndex = Options.fts_index,
    max_bad_rows: opts.MaxBadRows = Options.max_bad_rows,
    max_bad_share: opts.MaxBadShare = Options.max_bad_share,
    on_type_error: opts.OnTypeError = Options.on_type_error,
    on_concurrent_writes: opts.OnConcurrentWrites = Options.on_concurrent_writes,
    max_bytes: opts.MaxBytes = None,
    max_ratio: opts.MaxRatio = None,
    min_rate: opts.MinRate = None,
    as_json: opts.Json = False,
    debug: opts.Debug = False,
) -> None:
    """Load the file of a resource in CKAN, as CKAN describes it: RESOURCE_ID, or many.

    Of many, those are left out whose file is the one that was loaded last.
    """
    failed = Report(resource_id or "", "")
    with output.errors(debug, failed if as_json and resource_id else None):
        if [resource_id is not None, dataset is not None, every].count(True) != 1:
            raise UsageError("name one: a RESOURCE_ID, --dataset NAME, or --all")
        options = Options(
            via=via,
            datastore_url=datastore_url,
            ckan_url=ckan_url,
            lanes=lanes,
            default_encoding=default_encoding,
            types=types,
            dates=dates,
            decimal=decimal,
            missing=missing,
            keep_types=keep_types,
            strip=strip,
            full_text=full_text,
            fts_index=fts_index,
            max_bad_rows=max_bad_rows,
            max_bad_share=max_bad_share,
            rejects_folder=Path(),
            on_type_error=on_type_error,
            on_concurrent_writes=on_concurrent_writes,
            source=opts.limited(max_bytes, max_ratio, min_rate),
        )
        if resource_id is not None:
            with output.progress() as progress:
                report = reloading.reload(resource_id, options, progress)
            output.print_report(report, as_json)
            return
        outcomes = _reload_several(dataset, options, force=force, as_json=as_json)
    if not outcomes:
        output.print_outcomes(outcomes, as_json)
    if any(outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def _reload_several(
    dataset: str | None, options: Options, *, force: bool, as_json: bool
) -> list[Outcome]:
    """Load the files of a dataset, or of all; print what became of each, if there is any."""
    outcomes: list[Outcome] = []
    try:
        with output.progress() as progress:
            outcomes.extend(
                reloading.reload_all(options, force=force, progress=progress)
                if dataset is None
                else reloading.reload_dataset(dataset, options, force=force, progress=progress)
            )
    finally:  # what was done is printed, also when the rest fails
        if outcomes:
            output.print_outcomes(outcomes, as_json)
    return outcomes


@app.command(cls=_Command, short_help="Print what SOURCE is: a Resource descriptor.")
def infer(
    source: opts.Source,
    schema: opts.Schema = None,
    encoding: opts.Encoding = None,
    default_encoding: opts.DefaultEncoding = None,
    delimiter: opts.Delimiter = None,
    header_row: opts.HeaderRow = None,
    types: opts.Types = Options.types,
    dates: opts.Dates = Options.dates,
    decimal: opts.Decimal = Options.decimal,
    missing: opts.Missing = Options.missing,
    strip: opts.Strip = Options.strip,
    max_bytes: opts.MaxBytes = None,
    max_ratio: opts.MaxRatio = None,
    min_rate: opts.MinRate = None,
    debug: opts.Debug = False,
) -> None:
    """Print what SOURCE is, guessed from its beginning: a frictionless Resource descriptor."""
    with output.errors(debug):
        options = opts.described(
            schema,
            encoding=encoding,
            default_encoding=default_encoding,
            delimiter=delimiter,
            header_row=header_row,
            types=types,
            dates=dates,
            decimal=decimal,
            missing=missing,
            strip=strip,
            source=opts.limited(max_bytes, max_ratio, min_rate),
        )
        output.print_json(describe.infer(source, completed(options)))


@app.command(cls=_Command, short_help="Check every row of SOURCE.")
def validate(
    source: opts.Source,
    schema: opts.Schema = None,
    encoding: opts.Encoding = None,
    default_encoding: opts.DefaultEncoding = None,
    delimiter: opts.Delimiter = None,
    header_row: opts.HeaderRow = None,
    types: opts.Types = Options.types,
    dates: opts.Dates = Options.dates,
    decimal: opts.Decimal = Options.decimal,
    missing: opts.Missing = Options.missing,
    strip: opts.Strip = Options.strip,
    max_bytes: opts.MaxBytes = None,
    max_ratio: opts.MaxRatio = None,
    min_rate: opts.MinRate = None,
    debug: opts.Debug = False,
) -> None:
    """Check every row of SOURCE and print frictionless's report; exit 1 if it is not valid."""
    with output.errors(debug):
        options = opts.described(
            schema,
            encoding=encoding,
            default_encoding=default_encoding,
            delimiter=delimiter,
            header_row=header_row,
            types=types,
            dates=dates,
            decimal=decimal,
            missing=missing,
            strip=strip,
            source=opts.limited(max_bytes, max_ratio, min_rate),
        )
        report = describe.validate(source, completed(options))
        output.print_json(report)
    if not report["valid"]:
        raise typer.Exit(1)


@app.command(short_help="Drop tables of killed loads and deleted resources.")
def cleanup(
    datastore_url: opts.Database = None,
    ckan_url: opts.CleanedCkan = None,
    dry_run: opts.DryRun = False,
    debug: opts.Debug = False,
) -> None:
    """Drop the tables that killed loads have left, and those of deleted resources."""
    from loader.copy import database  # noqa: PLC0415  (0.6 s: few commands need psycopg)

    left = False
    with output.errors(debug):
        url = database.normalise_url(named_datastore(datastore_url) or embedded.start())
        with closing(database.connect(url, "cleanup")) as connection:
            # Each at once: a fault with the next one is not to hide that it is dropped.
            for table in _drop_unneeded(connection, ckan_url, dry_run=dry_run):
                left = True
                output.say(f"{'would drop' if dry_run else 'dropped'} {printable.shown(table)}")
    if not left:
        output.say("nothing to clean up")


def _drop_unneeded(connection: Connection, ckan_url: str | None, *, dry_run: bool) -> Iterator[str]:
    """Drop what killed loads have left, and the tables of resources that are gone."""
    from loader.copy import gone, shadow  # noqa: PLC0415  (as above)

    yield from shadow.drop_all_orphans(connection, dry_run=dry_run)
    options = completed(Options(ckan_url=ckan_url))
    if not options.ckan_url:
        return
    with required_ckan(options) as ckan:
        if gone.is_datastore_of(connection, ckan):
            yield from gone.drop_all(connection, ckan, dry_run=dry_run)
            return
    typer.echo(
        "aircan: no tables of deleted resources are looked for: the database is not"
        f" known to be the DataStore of {ckan.url}",
        err=True,
    )


@db.command()
def start(debug: opts.Debug = False) -> None:
    """Start the server and print its URL."""
    with output.errors(debug):
        output.say(embedded.start())


@db.command()
def stop(debug: opts.Debug = False) -> None:
    """Stop the server; the data stays."""
    with output.errors(debug):
        output.say("stopped" if embedded.stop() else "it was not running")


@db.command()
def url(debug: opts.Debug = False) -> None:
    """Print the running server's URL."""
    with output.errors(debug):
        address = embedded.url()
        if address is None:
            raise DatabaseUnreachable(
                "the embedded PostgreSQL is not running", hint="start it with: aircan db start"
            )
        output.say(address)


@db.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql on the server; further arguments are psql's."""
    with output.errors(debug=False):
        command = embedded.psql(context.args)
    os.execv(command[0], command)  # noqa: S606  # the wheel's own psql, no shell
