"""A stream's head -> what is known before the first row is loaded: its table and the columns.

In: a binary stream and what is known of it. Out: a Reading, whose blocks go on from the first one.
Holds the first block, which the guessed types are held against.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from loader.errors import TooManyColumns
from loader.formats.format import Settings, Table
from loader.formats.opening import open_table
from loader.formats.readable import Readable
from loader.formats.rows import Rows
from loader.scan import doubts
from loader.scan.reading import Reading
from loader.scan.settings import ReadSettings
from loader.types import schema
from loader.types.column import Column
from loader.types.names import name_columns
from loader.types.schema import Declared
from loader.types.verification import Verification

MAX_COLUMNS = 1600 - 2  # Postgres's limit, less _id and _full_text
_SAMPLED_ROWS = 5000


def read(
    content: Readable, settings: ReadSettings, types: Mapping[str, str] | None = None
) -> Reading:
    """Find out what the head of a table tells.

    Args:
        content: Its bytes, from the first on.
        settings: How to read it.
        types: The Postgres types that columns must have, by name: they win over the schema.

    Raises:
        SourceError, TableError, UsageError: See ``loader.errors``.
    """
    declared = schema.read_descriptor(settings.schema)
    table = open_table(content, _asked(settings, declared))
    if len(table.headers) > MAX_COLUMNS:
        raise TooManyColumns(
            f"the table has {len(table.headers)} columns",
            hint=f"Postgres takes {MAX_COLUMNS}, beside _id and _full_text",
        )
    first = next(table.blocks, None)
    rows = None if first is None else table.parse(first, settings.max_bad_rows)
    missing = declared.missing if declared else [""]
    types = {**_stated(table, declared), **(types or {})}
    columns = _infer(rows, table.headers, declared, types, missing)
    names_all = declared is not None and declared.names_all(table.headers)
    sample = _sample(rows, len(table.headers))
    return Reading(
        table=table,
        columns=columns,
        missing=missing,
        blocks=itertools.chain([] if first is None else [first], table.blocks),
        sample=sample,
        doubts=_doubts(table, columns, rows, sample),
        is_rowless=first is None,
        header_is_guessed=not table.header_is_known and not names_all,
    )


def _asked(settings: ReadSettings, declared: Declared | None) -> Settings:
    """Return what of the settings is for the format."""
    return Settings(
        dialect=settings.dialect,
        delimiter=settings.delimiter,
        encoding=settings.encoding,
        header_row=settings.header_row,
        declares=declared.names_all if declared else lambda _: False,
        default_encoding=settings.default_encoding,
    )


def _stated(table: Table[Any], declared: Declared | None) -> dict[str, str]:
    """Return the types that the file states, except of columns that a schema names."""
    fields = declared.fields if declared else {}
    types = table.types or [None] * len(table.headers)
    columns = zip(name_columns(table.headers), table.headers, types, strict=True)
    return {
        name: kind
        for name, header, kind in columns
        if kind and name not in fields and header not in fields
    }


def _infer(
    rows: Rows | None,
    headers: Sequence[str],
    declared: Declared | None,
    types: Mapping[str, str],
    missing: Sequence[str],
) -> list[Column]:
    """Guess from distinct values of the first rows, then hold the guess against all of them."""
    if rows is None:
        return schema.infer(headers, [pa.array([], pa.string())] * len(headers), declared, types)
    columns = schema.infer(headers, rows.cells, declared, types)
    verification = Verification(columns, missing, widen_declared=True)
    verification.verify(rows)
    return [
        # Nothing is loaded yet, so nothing was widened; a declared type is not given up so early.
        column if column.declared else replace(settled, widened_from=None)
        for column, settled in zip(columns, verification.columns, strict=True)
    ]


def _sample(rows: Rows | None, width: int) -> list[pa.StringArray]:
    if rows is None:
        return [pa.array([], pa.string())] * width
    first = pa.array(np.arange(min(_SAMPLED_ROWS, len(rows.ids))))
    return [column.take(first) for column in rows.cells]  # a slice would keep all the rest


def _doubts(
    table: Table[Any],
    columns: Sequence[Column],
    rows: Rows | None,
    sample: Sequence[pa.StringArray],
) -> list[str]:
    if rows is None or not len(rows.ids):
        return []
    found = [] if table.header_is_known else doubts.of_header(columns)
    return found + doubts.of_first_row(columns, sample, rows.row_number(0))
