"""Bytes -> the table in them, by the first format that knows them.

A file is known by what it begins with, not by its name: a URL may have none, and a portal's word
for a format may be wrong. Holds the 4 KiB that this is seen in.
"""

from __future__ import annotations

from typing import Any

from loader.formats.csv import opening as csv
from loader.formats.format import Format, Settings, Table
from loader.formats.readable import Readable, Rejoined, read_fully

_HEAD_BYTES = 4096

FORMATS: list[Format] = [csv]  # the last takes any file


def open_table(content: Readable, settings: Settings) -> Table[Any]:
    """Open the table that some bytes are.

    Args:
        content: The bytes, from the first on.
        settings: What the caller says of the table.

    Raises:
        SourceError, TableError, UsageError: As the format that knows it.
    """
    head = read_fully(content, _HEAD_BYTES)
    format_ = next(each for each in FORMATS if each.knows(head))
    return format_.open_table(Rejoined(head, content), settings)
