"""A source -> its frictionless Resource descriptor, and frictionless's report on its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from frictionless import Resource, Schema

from loader import schema
from loader.options import Options
from loader.pipeline import default_resource_id
from loader.reading import Reading, read
from loader.source import mask_uri

_MOST_ERRORS = 1000
_SCHEMA_PROPERTIES = ("missingValues", "primaryKey")


def infer(uri: str, options: Options = Options()) -> dict[str, Any]:
    """Return what the first 4 MiB of a source tell, as a frictionless Resource descriptor.

    Raises:
        AircanError: As ``loader.load`` raises for the source and its header.
    """
    with read(uri, options) as reading:
        return {
            "name": default_resource_id(uri).replace("_", "-"),
            "type": "table",
            "path": mask_uri(uri),
            "scheme": uri.split("://", maxsplit=1)[0] if "://" in uri else "file",
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": reading.text.encoding,
            "dialect": reading.dialect.to_descriptor(),
            "schema": schema.describe(reading.columns),
        }


def validate(uri: str, options: Options = Options()) -> dict[str, Any]:
    """Return frictionless's report on every row of a source, constraints included.

    The schema is the declared one, inferred for the columns that it does not name.

    Raises:
        AircanError: As ``loader.load`` raises for the source and its header.
    """
    with read(uri, options) as reading:
        declared = {k: v for k, v in (options.schema or {}).items() if k in _SCHEMA_PROPERTIES}
        resource = Resource(
            name=default_resource_id(uri).replace("_", "-"),
            data=lambda: _records(reading),
            schema=Schema.from_descriptor(declared | schema.describe(reading.columns)),
        )
        report = resource.validate(limit_errors=_MOST_ERRORS).to_descriptor()
    for task in report["tasks"]:
        task["place"] = mask_uri(uri)
        for error in task["errors"]:
            if "rowNumber" in error:  # frictionless counts the header as row 1, wherever it is
                error["rowNumber"] += reading.dialect.header_row - 1
    return report


def _records(reading: Reading) -> Iterator[list[str]]:
    yield [column.name for column in reading.columns]
    for block in reading.blocks:
        yield from reading.dialect.records(block.data.decode(errors="backslashreplace"))
