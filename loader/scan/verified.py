"""What a scan yields: a block whose rows fit the columns, and these rows.

In: a block, as it was read. Out: its rows, as records that COPY reads or as cells. Holds both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loader.formats.format import Table
from loader.formats.rows import Block, Offsets, Records


@dataclass(frozen=True)
class VerifiedRows:
    """Rows of a block, as the table shall have them.

    Attributes:
        ids: The ``_id`` of each.
        cells: The cells, by column; null for NULL.
        sizes: How many bytes each had when it was read.
    """

    ids: Offsets
    cells: Sequence[pa.StringArray]
    sizes: Offsets


@dataclass(frozen=True)
class Verified:
    """A block whose rows fit the columns.

    Attributes:
        table: What it was read from.
        block: As it was read.
        content: The rows that the table shall have: all its records, as they are written in the
            file, where COPY can take them; else cells.
    """

    table: Table[Any]
    block: Block
    content: Records | VerifiedRows

    def parse(self) -> VerifiedRows:
        """Return the rows as cells; those of a block in order are cut only now."""
        if isinstance(self.content, VerifiedRows):
            return self.content
        parsed = self.table.parse(self.block)
        return VerifiedRows(parsed.ids, parsed.cells, parsed.sizes)
