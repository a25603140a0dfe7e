"""What one reading of a source begins with: an open table, and its columns.

Holds the first rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from loader.formats.format import Table
from loader.formats.rows import Block
from loader.types.column import Column
from loader.types.notation import STRICT, Habits


@dataclass(frozen=True)
class Known:
    """What is known of the columns of the table that the rows go to.

    Attributes:
        types: The Postgres types that columns must have, by name: they win over the schema.
        columns: The table's, with their entries in the Data Dictionary.
        merges: Whether the rows are added to the table, and read as it was read.
        keeps_types: Whether a column keeps the table's type as long as every value fits.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[Column] = ()
    merges: bool = False
    keeps_types: bool = False


UNKNOWN = Known()  # where there is no table


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
    habits: Habits = STRICT
