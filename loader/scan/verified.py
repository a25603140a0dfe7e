"""What a scan yields: a block whose rows fit the columns, and these rows.

In: a block, as it was read. Out: its rows as cells. Holds both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from loader.formats.csv import table
from loader.formats.csv.blocks import Block
from loader.formats.csv.dialect import Dialect
from loader.formats.csv.quoting import Offsets


@dataclass(frozen=True)
class Rows:
    """Rows of a block, as the table shall have them.

    Attributes:
        ids: The ``_id`` of each.
        cells: The cells, by column; null for NULL.
    """

    ids: Offsets
    cells: Sequence[pa.StringArray]


@dataclass(frozen=True)
class Verified:
    """A block whose rows fit the columns.

    Attributes:
        block: As it was read.
        rows: Those of its rows that the table shall have; None if these are all its records, as
            they are written there.
        dialect: How its cells are cut.
        width: How many columns it has.
    """

    block: Block
    rows: Rows | None
    dialect: Dialect
    width: int

    def parse(self) -> Rows:
        """Return the rows as cells; those of a block in order are cut only now."""
        if self.rows is not None:
            return self.rows
        parsed = table.parse(self.block, self.dialect, self.width)
        return Rows(parsed.ids, parsed.cells)
