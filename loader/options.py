"""How a load is done: one frozen object that every step may read, and what fills its gaps.

In: what the caller names, and the environment. Out: the same, checked. Holds nothing else.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Literal, TypedDict, get_args, get_origin, get_type_hints

from loader.choices import (
    Dates,
    Decimal,
    FtsIndex,
    FullText,
    Missing,
    Mode,
    OnConcurrentWrites,
    OnTypeError,
    Types,
    Via,
)
from loader.ckan.settings import BatchSettings, SendSettings
from loader.copy.settings import CopySettings
from loader.errors import UsageError
from loader.net.guard import ALLOWED_HOSTS, Guard
from loader.net.settings import SourceSettings
from loader.net.uri import file_name, mask_uri
from loader.scan.settings import ReadSettings

DEFAULT_ENCODING = "AIRCAN_DEFAULT_ENCODING"
_FROM_0 = range(sys.maxsize)
_TEXT = ((str, NoneType), "a string, or None")
_PATH = ((str, os.PathLike, NoneType), "a path, or None")
_SWITCH = ((bool,), "True or False")
_DESCRIPTOR = ((Mapping, NoneType), "a descriptor, as a dict; json.load reads one from a file")
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("resource_id", "dataset_id", "datastore_url", "encoding", "delimiter"), _TEXT),
    **dict.fromkeys(("ckan_url", "ckan_token", "default_encoding"), _TEXT),
    **dict.fromkeys(("keep_types", "strip"), _SWITCH),
    **dict.fromkeys(("rejects", "rejects_folder"), _PATH),
    **dict.fromkeys(("schema", "dialect"), _DESCRIPTOR),
    "key": ((Sequence,), "a sequence of columns' names"),
    "source": ((SourceSettings,), "loader.SourceSettings"),
    "batches": ((BatchSettings,), "loader.BatchSettings"),
}
MOST_LANES = 64
_MOST_DEFAULT_LANES = 4  # more only help a server with many cores and fast disks
# Only these: trips.2020.csv and trips.2021.csv are two tables.
_ENDINGS = {"csv", "tsv", "tab", "txt", "gz", "bz2", "xz", "zst", "zip"}
_MAX_NAME_BYTES = 48


@dataclass(frozen=True)
class Options:
    """How to load; every default is right for most files.

    Attributes:
        resource_id: The table's name, in CKAN the resource's id; by default, and without CKAN,
            made from the file's name.
        datastore_url: A Postgres URL; by default ``AIRCAN_DATASTORE_URL``, and with neither it
            nor a CKAN the embedded PostgreSQL.
        ckan_url: The CKAN whose resource this is; by default ``AIRCAN_CKAN_URL``.
        ckan_token: An API token that may edit the resource; by default ``AIRCAN_CKAN_TOKEN``.
        ckan_guard: Which addresses CKAN may be at, where its URL is not the operator's own.
        mode: ``replace`` the table, ``append`` the rows to it, or ``upsert`` them by their key.
        key: The columns of the unique key; it is created where there is none.
        via: ``copy`` into the DataStore's database, or CKAN's ``api``; ``auto`` copies wherever
            the database lets it.
        schema: A frictionless Table Schema descriptor; it need not name every column.
        encoding: The name of a Python codec; None to find it.
        dialect: A frictionless Dialect descriptor.
        delimiter: One character; wins over the dialect's.
        header_row: Counted from 1, blank lines included; 0 means none; None to find it.
        max_loads: How many loads the database may have at a time, this one included; None for any
            number.
        lanes: Connections that COPY side by side; None for one for each core, at most 4.
        full_text: Which columns ``_full_text`` makes searchable.
        fts_index: The index on it.
        max_bad_rows: How many rows may be set aside.
        max_bad_share: Which part of all rows they may be, from 0 to 1, if they are more than ten.
        rejects: The file that those rows go to.
        rejects_folder: Without ``rejects``, the folder where they go to
            ``<resource_id>.rejects.csv``, and where a load that has none removes the file of an
            earlier one. With neither they are counted, and the report tells the first.
        on_type_error: What is done about a value that does not fit its declared type: ``fail``
            the load, or ``widen`` the column's type to one that holds it.
        on_concurrent_writes: What is done about rows that others write into a table while it is
            replaced: ``warn`` that they are gone with the old one, ``keep`` those inserted, or
            ``refuse`` to replace it.
        source: Timeouts and retries of the source, and the limits that it has to keep to.
        batches: How many rows and bytes one call of CKAN's API takes.
        dataset_id: The dataset that the resource is in, as CKAN said when its file was found; by
            default CKAN is asked when the load begins. A resource that has the id in another
            dataset, then or later, is not loaded.
        default_encoding: The name of a Python codec, which wins over others that may be right too;
            by default ``AIRCAN_DEFAULT_ENCODING``.
        types: ``auto`` reads dates and numbers in local forms, such as ``31.12.2020`` and ``1,5``,
            where every value of the column proves the form; ``strict`` leaves them text.
        dates: The order of day and month where the values allow both: ``dmy``, ``mdy``, or
            ``iso``: neither. With ``auto`` such a column stays text.
        decimal: What ``1,234`` is in a column where nothing else tells: with ``comma``
            1.234, with ``point`` 1234. With ``auto`` such a column stays text.
        missing: Signs for no value, such as ``N/A``, in a column that has a type without them:
            ``keep`` them, and the column is text; or with ``auto`` they are NULL.
        keep_types: Whether a column keeps the type that it has in the table, and the form it was
            read in, as long as every value fits.
        strip: Whether spaces around the cells of text are left out.

    Raises:
        UsageError: A value that is not allowed, or two that exclude each other.
    """

    resource_id: str | None = None
    datastore_url: str | None = field(default=None, repr=False)  # it may hold a password
    ckan_url: str | None = None
    ckan_token: str | None = field(default=None, repr=False)
    ckan_guard: Guard | None = None
    mode: Mode = "replace"
    key: Sequence[str] = ()
    via: Via = "auto"
    schema: Mapping[str, object] | None = None
    encoding: str | None = None
    dialect: Mapping[str, object] | None = None
    delimiter: str | None = None
    header_row: int | None = None
    lanes: int | None = None
    max_loads: int | None = None
    full_text: FullText = "all"
    fts_index: FtsIndex = "gin"
    max_bad_rows: int = 1000
    rejects: str | os.PathLike[str] | None = None
    rejects_folder: str | os.PathLike[str] | None = None
    on_type_error: OnTypeError = "fail"
    on_concurrent_writes: OnConcurrentWrites = "warn"
    source: SourceSettings = field(default_factory=SourceSettings)
    batches: BatchSettings = field(default_factory=BatchSettings)
    dataset_id: str | None = None
    max_bad_share: float = 0.05
    default_encoding: str | None = None
    types: Types = "auto"
    dates: Dates = "auto"
    decimal: Decimal = "auto"
    missing: Missing = "keep"
    keep_types: bool = False
    strip: bool = False

    def __post_init__(self) -> None:
        """Refuse now what a step would fail on after hours of work."""
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        for name, (kinds, hint) in _KINDS.items():
            _check_kind(name, getattr(self, name), kinds, hint)
        _check_number("max_bad_rows", self.max_bad_rows, _FROM_0, "a number, 0 or more")
        _check_share("max_bad_share", self.max_bad_share)
        if self.header_row is not None:
            _check_number("header_row", self.header_row, _FROM_0, "counted from 1; 0 for none")
        if self.lanes is not None:
            hint = f"a number from 1 to {MOST_LANES}"
            _check_number("lanes", self.lanes, range(1, MOST_LANES + 1), hint)
        if self.max_loads is not None:
            _check_number("max_loads", self.max_loads, range(1, sys.maxsize), "1 or more")
        if isinstance(self.key, str) or not all(isinstance(name, str) for name in self.key):
            hint = "a sequence of columns' names"
            raise UsageError(f"key cannot be {self.key!r}", hint=hint, option="key")
        if len(set(self.key)) < len(self.key):
            raise UsageError("key names a column twice", hint="once is enough", option="key")
        if self.key and self.mode == "append":
            hint = "it adds every row; an upsert matches rows by a key"
            raise UsageError("append takes no key", hint=hint, option="mode")

    @property
    def copying(self) -> CopySettings:
        """How the rows get into the table by COPY."""
        return CopySettings(
            mode=self.mode,
            key=self.key,
            full_text=self.full_text,
            fts_index=self.fts_index,
            lanes=self.lanes or default_lanes(),
            max_loads=self.max_loads,
            on_concurrent_writes=self.on_concurrent_writes,
        )

    @property
    def sending(self) -> SendSettings:
        """How the rows get into the table through CKAN's API."""
        return SendSettings(self.mode, self.key, self.on_concurrent_writes, self.batches)

    @property
    def reading(self) -> ReadSettings:
        """How the source is read."""
        return ReadSettings(
            schema=self.schema,
            dialect=self.dialect,
            delimiter=self.delimiter,
            encoding=self.encoding,
            header_row=self.header_row,
            max_bad_rows=self.max_bad_rows,
            default_encoding=self.default_encoding,
            local_forms=self.types == "auto",
            nulls_signs=self.missing == "auto",
            dates=self.dates,
            decimal=self.decimal,
            strip=self.strip,
        )


# The values that each field may have whose type is a Literal.
_CHOICES: dict[str, tuple[str, ...]] = {
    name: get_args(kind)
    for name, kind in get_type_hints(Options).items()
    if get_origin(kind) is Literal
}


class ReadOptions(TypedDict, total=False):
    """Keywords for reading a file: the fields of ``Options`` that ``infer`` and ``validate`` use.

    These three classes say the fields once more, since no type checker takes the keywords of a
    call from a dataclass (PEP 692 needs a TypedDict); a test holds them to ``Options``.
    """

    schema: Mapping[str, object] | None
    encoding: str | None
    dialect: Mapping[str, object] | None
    delimiter: str | None
    header_row: int | None
    source: SourceSettings
    default_encoding: str | None
    types: Types
    dates: Dates
    decimal: Decimal
    missing: Missing
    strip: bool


class ReloadOptions(ReadOptions, total=False):
    """Keywords for loading a resource of a CKAN: all fields of ``Options`` but its ids."""

    datastore_url: str | None
    ckan_url: str | None
    ckan_token: str | None
    ckan_guard: Guard | None
    mode: Mode
    key: Sequence[str]
    via: Via
    lanes: int | None
    max_loads: int | None
    full_text: FullText
    fts_index: FtsIndex
    max_bad_rows: int
    max_bad_share: float
    rejects: str | os.PathLike[str] | None
    rejects_folder: str | os.PathLike[str] | None
    on_type_error: OnTypeError
    on_concurrent_writes: OnConcurrentWrites
    batches: BatchSettings
    keep_types: bool


class LoadOptions(ReloadOptions, total=False):
    """Keywords for a load: all fields of ``Options``."""

    resource_id: str | None
    dataset_id: str | None


def default_resource_id(uri: str) -> str:
    """Return a table's name for a source: its file's name without endings, in lower case."""
    parts = file_name(mask_uri(uri)).split(".")  # the name is shown, and a secret is not
    while len(parts) > 1 and parts[-1].lower() in _ENDINGS:
        parts.pop()
    slug = re.sub(r"\W+", "_", ".".join(parts).lower()).strip("_")
    return slug.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").strip("_") or "table"


def named_datastore(given: str | None) -> str | None:
    """Return the URL given, or ``AIRCAN_DATASTORE_URL``, or None."""
    return given or os.environ.get("AIRCAN_DATASTORE_URL") or None


def completed(options: Options) -> Options:
    """Return options that name what the environment names: DataStore, CKAN and its token.

    For the command and the library, which the operator calls. ``loader.pipeline`` takes options as
    they are, so that a load of the factory uses nothing of a worker's environment.
    """
    return replace(
        options,
        datastore_url=named_datastore(options.datastore_url),
        ckan_url=options.ckan_url or os.environ.get("AIRCAN_CKAN_URL") or None,
        ckan_token=options.ckan_token or os.environ.get("AIRCAN_CKAN_TOKEN") or None,
        default_encoding=options.default_encoding or os.environ.get(DEFAULT_ENCODING) or None,
    )


def guarded(options: Options) -> Options:
    """Return options for a file whose URL comes from CKAN: with a guard, unless they have one.

    Raises:
        UsageError: ``AIRCAN_ALLOWED_HOSTS`` is no list of hosts.
    """
    if options.source.guard is not None:
        return options
    allowed, artifacts = (os.environ.get(name, "") for name in (ALLOWED_HOSTS, "AIRCAN_ARTIFACTS"))
    return replace(options, source=replace(options.source, guard=Guard.read(allowed, artifacts)))


def default_lanes() -> int:
    """Return one lane for each core this process may use, at most 4."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, _MOST_DEFAULT_LANES)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(
            f"{name} cannot be {value!r}", hint=f"one of {', '.join(choices)}", option=name
        )


def _check_kind(name: str, value: object, kinds: tuple[type, ...], hint: str) -> None:
    if not isinstance(value, kinds):
        raise UsageError(f"{name} cannot be of type {type(value).__name__}", hint=hint, option=name)


def _check_share(name: str, value: object) -> None:
    is_share = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
    if not is_share:
        hint = "a part of all rows, from 0 to 1"
        raise UsageError(f"{name} cannot be {value!r}", hint=hint, option=name)


def _check_number(name: str, value: object, allowed: range, hint: str) -> None:
    # A bool is an int to Python, and no number to anyone else.
    if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
        raise UsageError(f"{name} cannot be {value!r}", hint=hint, option=name)
