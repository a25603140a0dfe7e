"""How a load is to be done: one frozen object that every step may read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from loader.source import SourceSettings

FullText = Literal["all", "text", "none"]
FtsIndex = Literal["gin", "gist", "none"]


@dataclass(frozen=True)
class Options:
    """How to load; every default is right for most files.

    Attributes:
        resource_id: The table's name; by default made from the file's name.
        datastore_url: A Postgres URL; by default ``AIRCAN_DATASTORE_URL``, and without it the
            embedded PostgreSQL.
        schema: A frictionless Table Schema descriptor; it need not name every column.
        encoding: The name of a Python codec; None to find it.
        dialect: A frictionless Dialect descriptor.
        delimiter: One character; wins over the dialect's.
        header_row: Counted from 1, blank lines included; 0 means none; None to find it.
        lanes: Connections that COPY side by side; None for one for each core, at most 4.
        full_text: Which columns ``_full_text`` makes searchable.
        fts_index: The index on it.
        max_bad_rows: How many rows may be set aside.
        rejects: Where those rows go; by default ``<resource_id>.rejects.csv``.
        on_type_error: What a value that does not fit its declared type does: ``fail``, or
            ``widen`` the column to one that holds it.
        source: Timeouts and retries of the source.
    """

    resource_id: str | None = None
    datastore_url: str | None = None
    schema: Mapping[str, object] | None = None
    encoding: str | None = None
    dialect: Mapping[str, object] | None = None
    delimiter: str | None = None
    header_row: int | None = None
    lanes: int | None = None
    full_text: FullText = "all"
    fts_index: FtsIndex = "gin"
    max_bad_rows: int = 1000
    rejects: str | os.PathLike[str] | None = None
    on_type_error: Literal["fail", "widen"] = "fail"
    source: SourceSettings = field(default_factory=SourceSettings)
