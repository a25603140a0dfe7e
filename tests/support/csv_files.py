"""A CSV opened as a load opens it, and its rows."""

from __future__ import annotations

import io
from collections.abc import Mapping

from loader.formats.csv.opening import CsvTable, open_table
from loader.formats.format import Settings
from loader.formats.rows import Reject


def opened(content: io.BytesIO, dialect: Mapping[str, object] | None = None) -> CsvTable:
    settings = Settings(dialect, None, "utf-8", None, lambda _: False)
    return open_table(content, settings)


def rows_of(table: CsvTable) -> tuple[list[list[str]], list[Reject]]:
    """Return all rows in their order, '' for an empty cell; and those set aside."""
    rows: dict[int, list[str]] = {}
    rejects: list[Reject] = []
    for block in table.blocks:
        parsed = table.parse(block)
        columns = [column.fill_null("").to_pylist() for column in parsed.cells]
        rows |= zip(parsed.ids.tolist(), map(list, zip(*columns, strict=True)), strict=True)
        rejects += parsed.rejects
    return [rows[number] for number in sorted(rows)], rejects
