"""One reading of the source: blocks -> verified rows, counted and the bad ones set aside.

Holds one block for each thread that asks.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loader.copy import encode, fulltext, slow_texts
from loader.copy.express import Express
from loader.formats.csv import table
from loader.formats.csv.blocks import Block
from loader.formats.csv.quoting import Offsets
from loader.progress import Progress
from loader.scan.reading import Reading
from loader.scan.rejects import Rejects
from loader.types.schema import Column
from loader.types.verdict import Verdict

Flags = npt.NDArray[np.bool_]
# Columns of a block, and which rows to leave out -> the ``_full_text`` of each row.
Compose = Callable[[Sequence[pa.StringArray], Flags], pa.StringArray]


class Pass:
    """What is done with each block of one reading of the source; safe to share between threads.

    Attributes:
        reading: The source.
        rows_read: Rows that the blocks had.
        rows_verified: Rows given out.
        rows_repaired: Rows of those that were padded or trimmed.
        blank_lines: Lines left out.
    """

    def __init__(
        self, reading: Reading, verdict: Verdict, rejects: Rejects, progress: Progress
    ) -> None:
        self.reading = reading
        self.rows_read = 0
        self.rows_verified = 0
        self.rows_repaired = 0
        self.blank_lines = 0
        self._left_out = array("q")
        self._verdict = verdict
        self._express = Express(verdict.columns, reading.dialect, reading.missing)
        self._rejects = rejects
        self._progress = progress
        self._lock = threading.Lock()

    @property
    def columns(self) -> Sequence[Column]:
        """The columns, as far as the rows seen allow them."""
        return self._verdict.columns

    @property
    def left_out(self) -> Offsets:
        """The ``_id`` of each row whose ``_full_text`` the COPY leaves out, in their order."""
        return np.unique(np.array(self._left_out))

    def blocks(self) -> Iterator[Block]:
        """Yield the source's blocks, counting them; in one thread."""
        for block in self.reading.blocks:
            self.rows_read += block.rows
            self.blank_lines += len(block.ends) - block.rows
            yield block
            self._progress.advance(self.reading.source.bytes_read, self.rows_read)

    def encode(
        self, block: Block, compose: Compose | None = None, *, searched: bool = False
    ) -> list[memoryview] | None:
        """Return a block's COPY text, or None once a column was widened.

        Args:
            block: Whole records.
            compose: What makes ``_full_text``, if the COPY has it.
            searched: Whether the server makes it, if the COPY does not have it.
        """
        composed: list[pa.StringArray | None] = []

        def vectors() -> pa.StringArray | None:
            composed.append(self._vectors_of_block(block, compose))
            return composed[0]

        encoded = self._express.encode(block, vectors)
        if encoded is None:
            return self._encode_mended(block, compose, searched=searched)
        self._rejects.add(block.number, [])
        self._count(rows=block.rows, repaired=0)
        # A block that fits the narrower types has nothing to add to a verdict.
        if self._verdict.widened:
            return None
        if composed[0] is not None:
            self._leave_out(block.first_id + np.flatnonzero(_is_null(composed[0])))
        elif searched or compose is not None:
            slow = any(map(_is_text, self.columns)) and slow_texts.in_records(block)
            self._leave_out(block.first_id + np.flatnonzero(_is_long(block) | slow))
        return encoded

    def _encode_mended(
        self, block: Block, compose: Compose | None, *, searched: bool
    ) -> list[memoryview] | None:
        rows = self.convert(block)
        if rows is None:
            return None
        ids, cells = rows
        vectors = None
        if compose is not None and len(ids):
            vectors = compose(cells, np.isin(ids, _long_ids(block)))
        if vectors is not None:
            self._leave_out(ids[_is_null(vectors)])
        elif searched or compose is not None:
            texts = [cells[i] for i, column in enumerate(self.columns) if _is_text(column)]
            slow = bool(texts) and slow_texts.among(texts)
            self._leave_out(ids[np.isin(ids, _long_ids(block)) | slow])
        dialect = self.reading.dialect
        return encode.encode(ids, cells, dialect.delimiter, dialect.line_end, vectors)

    def _vectors_of_block(self, block: Block, compose: Compose | None) -> pa.StringArray | None:
        if compose is None or self._verdict.widened:
            return None
        rows = table.parse(block, self.reading.dialect, len(self._verdict.columns))
        return compose(rows.cells, np.isin(rows.ids, _long_ids(block)))

    def convert(self, block: Block) -> tuple[Offsets, list[pa.StringArray]] | None:
        """Return a block's rows: their ``_id`` and their columns; None once one was widened."""
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
        return rows.ids, converted

    def _count(self, rows: int, repaired: int) -> None:
        with self._lock:
            self.rows_verified += rows
            self.rows_repaired += repaired

    def _leave_out(self, ids: Offsets) -> None:
        with self._lock:
            self._left_out.extend(ids.tolist())


def _long_ids(block: Block) -> Offsets:
    return block.first_id + np.flatnonzero(_is_long(block))


def _is_long(block: Block) -> Flags:
    lengths = np.diff(block.ends, prepend=0)[block.filled]
    flags: Flags = lengths > fulltext.MAX_TEXT_BYTES
    return flags


def _is_text(column: Column) -> bool:
    return column.type in fulltext.UNBOUNDED


def _is_null(vectors: pa.StringArray) -> Flags:
    nulls: Flags = vectors.is_null().to_numpy(zero_copy_only=False)
    return nulls
