"""One reading of the source: blocks -> verified blocks, counted and the bad rows set aside.

In: blocks, from several threads at a time. Out: the same with their rows verified. Holds one block
for each thread that asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from loader.formats.csv import table
from loader.formats.csv.blocks import Block
from loader.scan.matcher import Matcher
from loader.scan.reading import Reading
from loader.scan.rejects import Rejects
from loader.scan.verified import Rows, Verified
from loader.types.column import Column
from loader.types.verification import Verification


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
        verification: Verification,
        rejects: Rejects,
        advance: Callable[[int], None],
    ) -> None:
        self.reading = reading
        self.rows_read = 0
        self.rows_verified = 0
        self.rows_repaired = 0
        self.blank_lines = 0
        self._verification = verification
        self._matcher = Matcher(verification.columns, reading.dialect, reading.missing)
        self._rejects = rejects
        self._advance = advance
        self._lock = threading.Lock()

    @property
    def columns(self) -> Sequence[Column]:
        """The columns, as far as the rows seen allow them."""
        return self._verification.columns

    def blocks(self) -> Iterator[Block]:
        """Yield the source's blocks, counting them; in one thread."""
        for block in self.reading.blocks:
            self.rows_read += block.rows
            self.blank_lines += len(block.ends) - block.rows
            yield block
            self._advance(self.rows_read)

    def verify(self, block: Block) -> Verified | None:
        """Return a block with its rows verified, which is not taken apart if it is in order.

        Args:
            block: Whole records.

        Returns:
            None once a column was widened.

        Raises:
            ValueDoesNotFit: A value that its declared type cannot hold.
            TooManyBadRows, RejectsNotWritten: See ``rejects``.
        """
        dialect, width = self.reading.dialect, len(self.columns)
        if self._matcher.matches(block):
            self._rejects.add(block.number, [])
            self._count(rows=block.rows, repaired=0)
            # A block that fits the narrower types widens none.
            is_of_use = not self._verification.widened
            return Verified(block, None, dialect, width) if is_of_use else None
        parsed = table.parse(
            block,
            dialect,
            width,
            encoding=self.reading.text.encoding,
            most_rejects=self._rejects.limit,
        )
        self._rejects.add(block.number, parsed.rejects)
        cells = self._verification.verify(parsed)
        if cells is None:
            return None
        self._count(rows=len(parsed.positions), repaired=parsed.repaired)
        return Verified(block, Rows(parsed.ids, cells), dialect, width)

    def warnings(self, *, named_encoding: bool, empties: bool) -> list[str]:
        """Return what was found, left out or guessed, once all blocks are through.

        Args:
            named_encoding: Whether the caller has named the encoding.
            empties: Whether a table becomes empty if there is no row.
        """
        reading, found = self.reading, []
        if reading.preamble:
            found.append(
                f"rows left out above the header in row {reading.dialect.header_row}:"
                f" {reading.preamble}"
            )
        if not self.rows_read:
            found.append(f"the file has a header and no rows{': the table is empty' * empties}")
        if self.blank_lines:
            found.append(f"blank lines left out: {self.blank_lines}")
        if not named_encoding and reading.text.encoding != "utf-8":
            found.append(f"the encoding was found to be {reading.text.encoding}")
        if reading.text.overruled:
            found.append(
                f"the encoding is {reading.text.encoding}, as the file's byte order mark says,"
                f" not {reading.text.overruled}"
            )
        if reading.whole.found:
            found.append("left out: the Ctrl-Z at the end, which ends a file of DOS")
        if reading.header_may_be_data:
            found.append("the first row looks like data: header row 0 loads it as a row")
        return found

    def _count(self, rows: int, repaired: int) -> None:
        with self._lock:
            self.rows_verified += rows
            self.rows_repaired += repaired
