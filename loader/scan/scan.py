"""One reading of the source: blocks -> verified blocks, counted and the bad rows set aside.

In: blocks, from several threads at a time. Out: the same with their rows verified. Holds one block
for each thread that asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from heapq import nsmallest

from loader.formats.rows import Block, Records
from loader.scan.reading import Reading
from loader.scan.rejects import Rejects
from loader.scan.verified import Verified, VerifiedRows
from loader.types.column import Column
from loader.types.verification import Verification

_FIRST = 5  # how many rows a warning names


class Scan:
    """What is done with each block of one reading of the source; safe to share between threads.

    Attributes:
        reading: The source.
        rows_read: Rows that the blocks had.
        rows_verified: Rows given out.
        rows_repaired: Rows of those that were padded or trimmed.
        first_repaired: The places in the file of the first of these.
        blank_lines: Lines left out.
    """

    def __init__(
        self,
        reading: Reading,
        verification: Verification,
        rejects: Rejects,
        advance: Callable[[int], None],
    ) -> None:
        self.reading = reading
        self.rows_read = 0
        self.rows_verified = 0
        self.rows_repaired = 0
        self.first_repaired: list[int] = []
        self.blank_lines = 0
        self._verification = verification
        copyable = reading.table.copyable(verification.columns, reading.missing)
        self._copyable = _parsed if verification.looks_at_all else copyable
        self._rejects = rejects
        self._advance = advance
        self._lock = threading.Lock()

    @property
    def columns(self) -> Sequence[Column]:
        """The columns, as far as the rows seen allow them."""
        return self._verification.columns

    def signs(self, index: int) -> dict[str, int]:
        """Return the signs for no value in a column, and how often each is there."""
        return self._verification.found.signs(index)

    def blocks(self) -> Iterator[Block]:
        """Yield the source's blocks, counting them; in one thread."""
        for block in self.reading.blocks:
            self.rows_read += block.rows
            self.blank_lines += block.blank_lines
            yield block
            self._advance(self.rows_read)

    def verify(self, block: Block) -> Verified | None:
        """Return a block with its rows verified; one that is in order is not cut into cells.

        Args:
            block: One of the reading's.

        Returns:
            None once a column was widened.

        Raises:
            ValueDoesNotFit: A value that its declared type cannot hold.
            TooManyBadRows, RejectsNotWritten: See ``rejects``.
        """
        table, records = self.reading.table, self._copyable(block)
        if records is not None:
            self._rejects.add(block.number, [])
            self._count(block.rows)
            # It fits the types of before, so it widens no column.
            is_of_use = not self._verification.widened
            return Verified(table, block, records) if is_of_use else None
        parsed = table.parse(block, self._rejects.limit)
        self._rejects.add(block.number, parsed.rejects)
        cells = self._verification.verify(parsed)
        if cells is None:
            return None
        self._count(len(parsed.ids), parsed.repaired.tolist())
        return Verified(table, block, VerifiedRows(parsed.ids, cells, parsed.sizes))

    def warnings(self, *, empties: bool) -> list[str]:
        """Return what was found, left out or guessed, once all blocks are through.

        Args:
            empties: Whether a table becomes empty if there is no row.
        """
        table, found = self.reading.table, []
        if table.preamble:
            found.append(
                f"rows left out above the header in row {table.header_row}: {table.preamble}"
            )
        if not self.rows_read:
            found.append(f"the file has a header and no rows{': the table is empty' * empties}")
        if self.blank_lines:
            found.append(f"blank lines left out: {self.blank_lines}")
        if self.rows_repaired:
            shown = ", ".join(map(str, self.first_repaired))
            more = ", ..." if self.rows_repaired > len(self.first_repaired) else ""
            found.append(f"rows padded or trimmed: {self.rows_repaired} (row {shown}{more})")
        return [
            *found,
            *table.findings(),
            *self._verification.warnings(),
            *self.reading.doubts,
        ]

    def _count(self, rows: int, repaired: Sequence[int] = ()) -> None:
        with self._lock:
            self.rows_verified += rows
            self.rows_repaired += len(repaired)
            if repaired:  # blocks come in any order
                self.first_repaired = nsmallest(_FIRST, [*self.first_repaired, *repaired])


def _parsed(_: Block, /) -> Records | None:
    """Have a block parsed, since every cell is to be looked at."""
    return None
