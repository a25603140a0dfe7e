"""What one reading of a source begins with: an open table, and its columns.

Holds the first rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loader.formats.format import Table
from loader.formats.rows import Block
from loader.types.column import Column


@dataclass(frozen=True)
class Reading:
    """A table being read: what its head tells, and its blocks from the first on."""

    table: Table[Any]
    columns: Sequence[Column]
    missing: Sequence[str]
    blocks: Iterator[Block]
    sample: Sequence[pa.StringArray]  # the first rows, by column
    doubts: Sequence[str]  # what may have been found out wrong
    guessed_rowless: bool  # there is no row, and nobody has said which one the header is
