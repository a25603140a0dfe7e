"""One reading of the source: blocks -> verified rows, counted and the bad ones set aside.

Holds one block for each thread that asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from loader.formats.csv import table
from loader.formats.csv.blocks import Block
from loader.formats.csv.quoting import Offsets
from loader.scan.matcher import Matcher
from loader.scan.reading import Reading
from loader.scan.rejects import Rejects
from loader.types.schema import Column
from loader.types.verdict import Verdict


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
    """

    block: Block
    rows: Rows | None


class Scan:
    """What is done with each block of one reading of the source; safe to share between threads.

    Attributes:
        reading: The source.
        rows_read: Rows that the blocks had.
        rows_verified: Rows given out.
        rows_repaired: Rows of those that were padded or trimmed.
        blank_lines: Lines left out.
    """

    def __init__(
        self,
        reading: Reading,
        verdict: Verdict,
        rejects: Rejects,
        advance: Callable[[int], None],
    ) -> None:
        self.reading = reading
        self.rows_read = 0
        self.rows_verified = 0
        self.rows_repaired = 0
        self.blank_lines = 0
        self._verdict = verdict
        self._matcher = Matcher(verdict.columns, reading.dialect, reading.missing)
        self._rejects = rejects
        self._advance = advance
        self._lock = threading.Lock()

    @property
    def columns(self) -> Sequence[Column]:
        """The columns, as far as the rows seen allow them."""
        return self._verdict.columns

    def blocks(self) -> Iterator[Block]:
        """Yield the source's blocks, counting them; in one thread."""
        for block in self.reading.blocks:
            self.rows_read += block.rows
            self.blank_lines += len(block.ends) - block.rows
            yield block
            self._advance(self.rows_read)

    def verify(self, block: Block) -> Verified | None:
        """Return a block's rows, without taking a block apart that is in order.

        Args:
            block: Whole records.

        Returns:
            None once a column was widened.
        """
        if not self._matcher.matches(block):
            rows = self.convert(block)
            return None if rows is None else Verified(block, rows)
        self._rejects.add(block.number, [])
        self._count(rows=block.rows, repaired=0)
        # A block that fits the narrower types has nothing to add to a verdict.
        return None if self._verdict.widened else Verified(block, None)

    def convert(self, block: Block) -> Rows | None:
        """Return a block's rows, cell by cell; None once a column was widened."""
        rows = table.parse(
            block,
            self.reading.dialect,
            len(self._verdict.columns),
            encoding=self.reading.text.encoding,
            most_rejects=self._rejects.limit,
        )
        self._rejects.add(block.number, rows.rejects)
        converted = self._verdict.convert(rows)
        if converted is None:
            return None
        self._count(rows=len(rows.positions), repaired=rows.repaired)
        return Rows(rows.ids, converted)

    def _count(self, rows: int, repaired: int) -> None:
        with self._lock:
            self.rows_verified += rows
            self.rows_repaired += repaired
