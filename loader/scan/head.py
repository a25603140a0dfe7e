"""A stream's head -> what is known before the first row is loaded: its table and the columns.

In: a binary stream and what is known of it. Out: a Reading, whose blocks go on from the first one.
Holds the first block, which the guessed types are held against.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from loader.errors import TooManyColumns
from loader.formats.format import Settings, Table
from loader.formats.opening import open_table
from loader.formats.readable import Readable
from loader.formats.rows import Rows
from loader.scan import doubts
from loader.scan.reading import UNKNOWN, Known, Reading
from loader.scan.settings import ReadSettings
from loader.types import local, nulls, registry, schema
from loader.types.column import Column
from loader.types.deciding import Deciding
from loader.types.names import name_columns
from loader.types.notation import Habits
from loader.types.schema import Declared
from loader.types.verification import Verification

MAX_COLUMNS = 1600 - 2  # Postgres's limit, less _id and _full_text
_SAMPLED_ROWS = 5000


def read(content: Readable, settings: ReadSettings, known: Known = UNKNOWN) -> Reading:
    """Find out what the head of a table tells.

    Args:
        content: Its bytes, from the first on.
        settings: How to read it.
        known: What is known of the table's columns.

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
    guess = _Guess(
        declared=declared,
        missing=declared.missing if declared else [""],
        types={**_stated(table, declared), **known.types},
        known=known,
        habits=_habits(settings),
    )
    columns = guess.columns(table.headers, rows)
    names_all = declared is not None and declared.names_all(table.headers)
    sample = _sample(rows, len(table.headers))
    return Reading(
        table=table,
        columns=columns,
        missing=guess.missing,
        blocks=itertools.chain([] if first is None else [first], table.blocks),
        sample=sample,
        doubts=_doubts(table, columns, rows, sample, has_commas=settings.decimal == "comma"),
        is_rowless=first is None,
        header_is_guessed=not table.header_is_known and not names_all,
        habits=guess.habits,
    )


def _habits(settings: ReadSettings) -> Habits:
    return Habits(
        is_lenient=settings.local_forms,
        is_notating=settings.local_forms,
        deciding=Deciding(settings.dates, settings.decimal),
        nulls_signs=settings.nulls_signs,
        strips=settings.strip,
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


@dataclass(frozen=True)
class _Guess:
    """What the columns are guessed from, beside the rows.

    Attributes:
        declared: The caller's schema.
        missing: Its ``missingValues``.
        types: The Postgres types that win over it.
        known: The table's columns.
        habits: What is made of cells that are not written as Postgres writes them.
    """

    declared: Declared | None
    missing: Sequence[str]
    types: Mapping[str, str]
    known: Known
    habits: Habits

    def columns(self, headers: Sequence[str], rows: Rows | None) -> list[Column]:
        """Guess from distinct values of the first rows, then hold the guess against all of them."""
        if rows is None:
            none = [pa.array([], pa.string())] * len(headers)
            columns = schema.infer(headers, none, self.declared, self.types)
            return [self._as_in_table(column, None) for column in columns]
        trims = self.habits.is_lenient
        columns = schema.infer(headers, rows.cells, self.declared, self.types, trims=trims)
        # Of cells as people write them it is told afterwards what they are.
        strict = replace(self.habits, nulls_signs=False, is_notating=False)
        verification = Verification(columns, self.missing, widen_declared=True, habits=strict)
        verification.verify(rows)
        cells = [self._without_missing(column) for column in rows.cells]
        return [
            self._begun(*known) for known in zip(columns, verification.columns, cells, strict=True)
        ]

    def _without_missing(self, cells: pa.StringArray) -> pa.StringArray:
        words = [word for word in self.missing if word]
        return nulls.missing_to_null(cells, pa.array(words, pa.string())) if words else cells

    def _begun(self, guessed: Column, settled: Column, cells: pa.StringArray) -> Column:
        """Return a column as it begins."""
        if guessed.declared is not None:  # a declared type is not given up so early
            has_type = guessed.name in self.known.types and not self.known.merges
            if has_type and self.habits.is_notating:
                return local.of_type(guessed, cells, self.habits)
            return self._as_in_table(guessed, cells)
        # Nothing is loaded yet, so nothing was widened.
        column = replace(settled, widened_from=None)
        if self.habits.is_notating:
            is_open = not any(self.missing)
            column = local.read(column, cells, self.habits, looks_for_signs=is_open)
        return self._as_in_table(column, cells)

    def _as_in_table(self, column: Column, cells: pa.StringArray | None) -> Column:
        """Return a column as the table has it, where it is to have that."""
        live = next((one for one in self.known.columns if one.name == column.name), None)
        if live is None:
            return column
        if self.known.merges:
            return local.as_in_table(column, live)
        if not self.known.keeps_types or column.declared is not None:
            return column
        kept = replace(local.as_in_table(column, live), would_be=None)
        if cells is not None:
            fitted = local.fitted(kept, cells, self.missing, self.habits)
            if fitted is None:
                return column
            kept = fitted
        is_narrower = column.type not in (kept.type, registry.TEXT)
        return replace(kept, would_be=column if is_narrower else None)


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
    *,
    has_commas: bool,
) -> list[str]:
    if rows is None or not len(rows.ids):
        return []
    found = [] if table.header_is_known else doubts.of_header(columns)
    found += doubts.of_first_row(columns, sample, rows.row_number(0))
    return found + doubts.of_points(columns, sample, has_commas=has_commas)
