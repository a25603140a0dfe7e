"""A source -> its frictionless Resource descriptor, and frictionless's report on its rows.

Holds a few blocks, at most 1,000 of the errors found, and with a primary key all its values.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from frictionless import Dialect, Resource, Schema

from loader import schema
from loader.errors import SourceError
from loader.options import Options, default_resource_id
from loader.reading import Reading, read
from loader.source import mask_uri

_MOST_ERRORS = 1000
_SCHEMA_PROPERTIES = ("missingValues", "primaryKey")


def infer(uri: str | os.PathLike[str], options: Options = Options()) -> dict[str, Any]:
    """Return what the first 4 MiB of a source tell, as a frictionless Resource descriptor.

    Raises:
        AircanError: As ``loader.load`` raises for the source and its header.
    """
    uri = os.fspath(uri)
    with read(uri, options) as reading:
        return {
            "name": _name(uri),
            "type": "table",
            "path": mask_uri(uri),
            "scheme": uri.split("://", maxsplit=1)[0] if "://" in uri else "file",
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": reading.text.encoding,
            "dialect": reading.dialect.to_descriptor(),
            "schema": _schema(reading, options),
        }


def validate(uri: str | os.PathLike[str], options: Options = Options()) -> dict[str, Any]:
    """Return frictionless's report on every row of a source, constraints included.

    The schema is the declared one, inferred for the columns that it does not name.

    Raises:
        AircanError: As ``loader.load`` raises for the source and its header.
    """
    uri = os.fspath(uri)
    with read(uri, options) as reading:
        lost: list[SourceError] = []
        resource = Resource(
            name=_name(uri),
            data=lambda: _records(reading, lost),
            dialect=_rows_of_the_file(reading),
            schema=Schema.from_descriptor(_schema(reading, options)),
        )
        report = resource.validate(limit_errors=_MOST_ERRORS).to_descriptor()
    if lost:  # which says nothing about the rows
        raise lost[0]
    for task in report["tasks"]:
        task["place"] = mask_uri(uri)
    return report


def _name(uri: str) -> str:
    return default_resource_id(uri).replace("_", "-")


def _schema(reading: Reading, options: Options) -> dict[str, Any]:
    declared = {k: v for k, v in (options.schema or {}).items() if k in _SCHEMA_PROPERTIES}
    return declared | schema.describe(reading.columns)


def _rows_of_the_file(reading: Reading) -> Dialect:
    """Return the dialect with which frictionless counts rows as the file has them."""
    header_row = reading.dialect.header_row
    return Dialect(header_rows=[header_row]) if header_row else Dialect(header=False)


def _records(reading: Reading, lost: list[SourceError]) -> Iterator[list[str]]:
    if header_row := reading.dialect.header_row:
        yield from [[]] * (header_row - 1)
        yield [column.name for column in reading.columns]
    try:
        for block in reading.blocks:
            yield from reading.dialect.records(block.data.decode(errors="backslashreplace"))
    except SourceError as error:  # frictionless would take it for an error of the table
        lost.append(error)
        raise
