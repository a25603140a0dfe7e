"""A source -> its frictionless Resource descriptor, and frictionless's report on its rows.

Holds a few blocks, at most 1,000 of the errors found, and with a primary key all its values.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from frictionless import Checklist, Dialect, Resource

from loader.errors import SourceError, UsageError, memory_ours
from loader.options import Options, default_resource_id
from loader.scan.head import read
from loader.scan.reading import Reading
from loader.source.content import open_content
from loader.types import notation, nulls, registry, schema
from loader.types.column import Column
from loader.types.constraints import Constraints
from loader.types.notation import Habits

_MOST_ERRORS = 1000
_ROWS_AT_A_TIME = 1000  # a call of RE2 for each row would take longer than frictionless does
_SCHEMA_PROPERTIES = ("missingValues", "primaryKey")


def infer(uri: str | os.PathLike[str], options: Options = Options()) -> dict[str, Any]:
    """Return what the first 4 MiB of a source tell, as a frictionless Resource descriptor.

    Raises:
        AircanError: As ``loader.load`` raises for the source and its header.
    """
    uri = os.fspath(uri)
    with memory_ours(), open_content(uri, options.source) as content:
        reading = read(content.stream, options.reading)
        return {
            "name": _name(uri),
            "type": "table",
            "path": content.source.uri,
            "scheme": content.source.scheme or "file",
            **reading.table.descriptor(),
            "schema": _schema(reading, options),
        }


def validate(uri: str | os.PathLike[str], options: Options = Options()) -> dict[str, Any]:
    """Return frictionless's report on every row of a source, constraints included.

    The schema is the declared one, inferred for the columns that it does not name.

    Raises:
        AircanError: As ``loader.load`` raises for the source and its header.
        UsageError: A pattern, a format or another constraint of the schema cannot be used.
    """
    uri = os.fspath(uri)
    with memory_ours(), open_content(uri, options.source) as content:
        reading = read(content.stream, options.reading)
        lost: list[Exception] = []
        constraints = Constraints(_known_to_frictionless(_schema(reading, options)))
        resource = Resource(
            name=_name(uri),
            data=lambda: _keeping_errors(constraints.records(_records(reading)), lost),
            dialect=_rows_of_the_file(reading),
            schema=constraints.schema,
        )
        checklist = Checklist(checks=[constraints.check])
        with _bounds_ours(constraints.bounded):
            report = resource.validate(checklist, limit_errors=_MOST_ERRORS).to_descriptor()
        if lost:  # which says nothing about the rows
            raise lost[0]
    for task in report["tasks"]:
        task["place"] = content.source.uri
    return report


def _name(uri: str) -> str:
    return default_resource_id(uri).replace("_", "-")


def _schema(reading: Reading, options: Options) -> dict[str, Any]:
    declared = {k: v for k, v in (options.schema or {}).items() if k in _SCHEMA_PROPERTIES}
    return declared | schema.describe(reading.columns)


def _known_to_frictionless(descriptor: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without the property of ours: such values are read before."""
    fields = [
        {name: value for name, value in field.items() if name != schema.READ_AS}
        for field in descriptor["fields"]
    ]
    return {**descriptor, "fields": fields}


def _rows_of_the_file(reading: Reading) -> Dialect:
    """Return the dialect with which frictionless counts rows as the file has them."""
    header_row = reading.table.header_row
    return Dialect(header_rows=[header_row]) if header_row else Dialect(header=False)


def _records(reading: Reading) -> Iterator[list[list[str]]]:
    """Yield the records of the file from its first row on, some at a time."""
    if header_row := reading.table.header_row:
        yield [[] for _ in range(header_row - 1)]
        yield [[column.name for column in reading.columns]]
    as_read = _as_read(reading)
    for block in reading.blocks:
        rows = iter(reading.table.records(block))
        while some := list(itertools.islice(rows, _ROWS_AT_A_TIME)):
            yield as_read(some)


def _as_read(reading: Reading) -> Callable[[list[list[str]]], list[list[str]]]:
    """Return a function that takes the cells of rows as a load takes them."""
    habits, columns = reading.habits, reading.columns
    is_sign = habits.nulls_signs and not any(reading.missing)
    signs = set(nulls.SIGNS.to_pylist()) if is_sign and habits.is_lenient else set()
    typed = {i for i, column in enumerate(columns) if column.type != registry.TEXT}
    stripped = [
        i for i in range(len(columns)) if (habits.is_lenient if i in typed else habits.strips)
    ]
    written = [(i, column) for i, column in enumerate(columns) if schema.has_read_as(column)]
    missing = {"", *reading.missing}

    def as_read(rows: list[list[str]]) -> list[list[str]]:
        for row in rows:
            for place in stripped:
                if place < len(row):
                    cell = row[place].strip()
                    row[place] = "" if place in typed and cell in signs else cell
        for place, column in written:
            filled = [row for row in rows if place < len(row) and row[place] not in missing]
            cells = pa.array([row[place] for row in filled], pa.string())
            for row, value in zip(filled, _as_postgres(cells, column, habits), strict=True):
                row[place] = value
        return rows

    return as_read


def _as_postgres(cells: pa.StringArray, column: Column, habits: Habits) -> list[str]:
    """Return cells of a column with a notation as Postgres writes them; what is none as it is.

    All at once, since a cell alone takes 1 ms; those that are no values are found by halves.
    """
    values = column.notation.read(cells) if column.notation else None
    if values is None:
        form = notation.learn(cells, column.header or column.name, column.form)
        reading = form and form.decided(habits.deciding)
        values = reading.read(cells) if reading else None
    if values is not None and column.check.fits(values):  # not 31 February
        return [str(value) for value in values.to_pylist()]
    if len(cells) <= 1:
        return [str(cell) for cell in cells.to_pylist()]
    half = len(cells) // 2
    halves = cells[:half], cells[half:]
    return [value for part in halves for value in _as_postgres(part, column, habits)]


@contextmanager
def _bounds_ours(fields: Sequence[str]) -> Iterator[None]:
    """Tell of bounds of a type that frictionless cannot compare with some of its values."""
    try:
        yield
    except TypeError as error:
        if not fields:
            raise
        listed = ", ".join(map(repr, fields))
        raise UsageError(
            f"a minimum or maximum of the schema cannot be compared with a value of {listed}",
            hint="write both with a time zone, or both without",
        ) from error


def _keeping_errors(rows: Iterator[list[Any]], lost: list[Exception]) -> Iterator[list[Any]]:
    """Yield rows, and keep the error that frictionless would take for one of the table."""
    try:
        yield from rows
    except (SourceError, MemoryError) as error:
        lost.append(error)
        raise
