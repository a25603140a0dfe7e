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
    is_rowless: bool
    header_is_guessed: bool  # nobody has said which row it is, nor declared all columns
