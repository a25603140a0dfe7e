"""The command's options, each once, and the library's options that they make.

In: nothing, or what was given on the command line. Out: types for the parameters of commands, whose
names and help they have; ``Options``. Holds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typing_extensions import Unpack

from loader import choices
from loader.errors import UsageError
from loader.net.limits import Limits
from loader.net.settings import SourceSettings
from loader.net.uri import mask_uri
from loader.options import MOST_LANES, LoadOptions, Options
from loader.types.descriptor import from_json


def _value(
    name: str,
    text: str,
    flag: str | None = None,
    at_least: int | None = None,
    at_most: int | None = None,
) -> Any:  # noqa: ANN401
    """Return an option with a value: its name in the help, and the help's text."""
    flags = () if flag is None else (flag,)
    return typer.Option(
        *flags, help=text, metavar=name, show_default=False, min=at_least, max=at_most
    )


def _choice(values: object, text: str, default: str) -> Any:  # noqa: ANN401
    """Return an option with a closed set of values."""
    return _value("|".join(get_args(values)), f"{text} [default: {default}]")


# The commands' help tells what it is; typer would add a type to the name.
Source = Annotated[str, typer.Argument(metavar="SOURCE", hidden=True)]
Resource = Annotated[
    str | None, typer.Argument(metavar="RESOURCE_ID", show_default=False, hidden=True)
]

ResourceId = Annotated[str | None, _value("ID", "The table's name. [default: the file's name]")]
Mode = Annotated[
    choices.Mode, _choice(choices.Mode, "What becomes of the rows in the table.", Options.mode)
]
Key = Annotated[
    list[str] | None,
    _value("COLUMN", "A column of the unique key; once for each. [default: the table's]"),
]
Dataset = Annotated[str | None, _value("NAME", "All resources of this dataset.")]
All = Annotated[bool, typer.Option("--all", help="All resources of the CKAN.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also files that are in the DataStore already.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list.")]

# Where to

_URL_HELP = "A Postgres URL. Better in AIRCAN_DATASTORE_URL, which no process list shows."
Database = Annotated[
    str | None,
    _value("URL", f"{_URL_HELP} [default: the embedded PostgreSQL]", "--datastore-url"),
]
DataStore = Annotated[
    str | None,
    _value(
        "URL",
        f"{_URL_HELP} [default: the embedded PostgreSQL; with a CKAN none, its API is used]",
        "--datastore-url",
    ),
]
Ckan = Annotated[
    str | None,
    _value(
        "URL",
        "The CKAN that has the resource. Its API token goes in AIRCAN_CKAN_TOKEN."
        " [default: AIRCAN_CKAN_URL]",
        "--ckan-url",
    ),
]
CleanedCkan = Annotated[
    str | None,
    _value(
        "URL",
        "The CKAN whose DataStore it is: the tables go whose resources it has no more."
        " [default: AIRCAN_CKAN_URL]",
        "--ckan-url",
    ),
]
Via = Annotated[
    choices.Via,
    _choice(choices.Via, "Into the DataStore's database, or through CKAN's API.", Options.via),
]
Lanes = Annotated[
    int | None,
    _value(
        "N",
        "Connections that copy side by side. [default: the cores, at most 4]",
        at_least=1,
        at_most=MOST_LANES,
    ),
]

# How the file is to be read

Schema = Annotated[Path | None, _value("FILE", "A Table Schema or Resource descriptor, JSON.")]
Encoding = Annotated[str | None, _value("NAME", "Such as windows-1252. [default: found]")]
DefaultEncoding = Annotated[
    str | None,
    _value("NAME", "Preferred where several may be right. [default: AIRCAN_DEFAULT_ENCODING]"),
]
Delimiter = Annotated[str | None, _value("CHARACTER", "One character, or 'tab'. [default: found]")]
HeaderRow = Annotated[int | None, _value("N", "Counted from 1; 0 for none. [default: found]")]
Types = Annotated[
    choices.Types,
    _choice(
        choices.Types,
        "Dates and numbers such as 31.12.2020 and 1,5: read, or left as text.",
        Options.types,
    ),
]
Dates = Annotated[
    choices.Dates,
    _choice(choices.Dates, "The order in dates such as 01/02/2020.", Options.dates),
]
Decimal = Annotated[
    choices.Decimal,
    _choice(choices.Decimal, "The decimal sign in numbers such as 1,234.", Options.decimal),
]
Missing = Annotated[
    choices.Missing,
    _choice(choices.Missing, "N/A and the like: kept as text, or NULL.", Options.missing),
]
KeepTypes = Annotated[
    bool,
    typer.Option("--keep-types", help="Keep the types of the table, as long as all values fit."),
]
Strip = Annotated[bool, typer.Option("--strip", help="Leave out the spaces around text.")]
MaxBytes = Annotated[
    str | None, _value("SIZE", "What SOURCE may have, unpacked: 500MiB, 10GB. [default: 1 TiB]")
]
MaxRatio = Annotated[
    str | None,
    _value("N", "Unpacked bytes for a packed one. [default: 400; bz2, xz, zstd: 2000]"),
]
MinRate = Annotated[
    str | None, _value("SIZE", "What SOURCE has to send in a second; 0 for any. [default: 1KiB]")
]

# What to make of it

FullText = Annotated[
    choices.FullText, _choice(choices.FullText, "The columns that search finds.", Options.full_text)
]
FtsIndex = Annotated[
    choices.FtsIndex, _choice(choices.FtsIndex, "The index on their full text.", Options.fts_index)
]
MaxBadRows = Annotated[
    int,
    _value("N", f"Rows that may be set aside. [default: {Options.max_bad_rows}]", at_least=0),
]
MaxBadShare = Annotated[
    float,
    _value(
        "SHARE",
        f"Their part of all rows, if they are more than ten. [default: {Options.max_bad_share}]",
        at_least=0,
        at_most=1,
    ),
]
Rejects = Annotated[Path | None, _value("PATH", "The file they go to. [default: ID.rejects.csv]")]
OnTypeError = Annotated[
    choices.OnTypeError,
    _choice(
        choices.OnTypeError,
        "What to do about a value that its declared type cannot hold.",
        Options.on_type_error,
    ),
]
OnConcurrentWrites = Annotated[
    choices.OnConcurrentWrites,
    _choice(
        choices.OnConcurrentWrites,
        "What to do about rows that others write into the table that is being replaced.",
        Options.on_concurrent_writes,
    ),
]

# What to print

Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Log, and show tracebacks.")]


def described(path: Path | None, /, **given: Unpack[LoadOptions]) -> Options:
    """Return options with what a descriptor says of the file, after what is given.

    Args:
        path: Of a Table Schema, or of a Resource descriptor; None for no descriptor.
        **given: The fields of ``Options`` that the command line gives.

    Raises:
        UsageError: The file is no such descriptor, or a value cannot be.
    """
    descriptor = _read_json(path) if path else {}
    if path and "fields" not in descriptor:
        given["schema"] = _part(descriptor, "schema", path)
        given["dialect"] = _part(descriptor, "dialect", path)
        given["encoding"] = given.get("encoding") or descriptor.get("encoding")
    else:
        given["schema"] = descriptor
    return Options(**given)


def limited(max_bytes: str | None, max_ratio: str | None, min_rate: str | None) -> SourceSettings:
    """Return how a source is fetched that has to keep to these limits.

    Raises:
        UsageError: One of them means nothing.
    """
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
