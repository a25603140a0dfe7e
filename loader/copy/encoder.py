"""Blocks of a scan -> COPY text, with ``_full_text`` where it is composed before the COPY.

In: blocks, from several threads at a time. Out: their COPY text, and at the end the ``_id`` of the
rows whose ``_full_text`` the COPY leaves out: their text is too long for it, or too slow. Holds
one number for each of these.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loader.copy import encode, fulltext, slow_texts
from loader.formats.csv import table
from loader.formats.csv.blocks import Block
from loader.formats.csv.quoting import Offsets
from loader.scan.scan import Scan, Verified

Flags = npt.NDArray[np.bool_]
# Columns of a block, and which rows to leave out -> the ``_full_text`` of each row; None if the
# COPY is not to have it any more.
Compose = Callable[[Sequence[pa.StringArray], Flags], "pa.StringArray | None"]


class Encoder:
    """Encodes the blocks of one scan; safe to share between threads."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._left_out = array("q")
        self._lock = threading.Lock()

    @property
    def left_out(self) -> Offsets:
        """The ``_id`` of each row whose ``_full_text`` the COPY leaves out, in their order."""
        return np.unique(np.array(self._left_out))

    def encode(self, block: Block, *, searched: bool = False) -> list[memoryview] | None:
        """Return a block's COPY text without ``_full_text``, or None once a column was widened.

        Args:
            block: Whole records.
            searched: Whether the server makes ``_full_text`` of the rows.
        """
        verified = self._scan.verify(block)
        if verified is None:
            return None
        if searched:
            self._leave_out_unsearchable(verified)
        return self._encode(verified, None)

    def encode_composed(
        self, block: Block, compose: Compose
    ) -> tuple[list[memoryview], bool] | None:
        """Return a block's COPY text, or None once a column was widened.

        Args:
            block: Whole records.
            compose: What makes ``_full_text``.

        Returns:
            The text; and whether ``_full_text`` is in it.
        """
        verified = self._scan.verify(block)
        if verified is None:
            return None
        vectors = self._compose(verified, compose)
        if vectors is None:
            self._leave_out_unsearchable(verified)
        else:
            self._leave_out(_ids(verified)[_is_null(vectors)])
        return self._encode(verified, vectors), vectors is not None

    def _encode(self, verified: Verified, vectors: pa.StringArray | None) -> list[memoryview]:
        dialect = self._scan.reading.dialect
        if verified.rows is None:
            return encode.number(verified.block, dialect.delimiter, vectors)
        rows = verified.rows
        return encode.encode(rows.ids, rows.cells, dialect.delimiter, dialect.line_end, vectors)

    def _compose(self, verified: Verified, compose: Compose) -> pa.StringArray | None:
        long = _long_ids(verified.block)
        if verified.rows is None:
            parsed = table.parse(
                verified.block, self._scan.reading.dialect, len(self._scan.columns)
            )
            return compose(parsed.cells, np.isin(parsed.ids, long))
        if not len(verified.rows.ids):
            return pa.array([], pa.string())
        return compose(verified.rows.cells, np.isin(verified.rows.ids, long))

    def _leave_out_unsearchable(self, verified: Verified) -> None:
        """Leave out what the server's parser refuses, or is too slow at."""
        block, rows = verified.block, verified.rows
        texts = [
            i for i, column in enumerate(self._scan.columns) if column.type in fulltext.UNBOUNDED
        ]
        if rows is None:
            slow = bool(texts) and slow_texts.in_records(block)
            self._leave_out(block.first_id + np.flatnonzero(_is_long(block) | slow))
        else:
            slow = bool(texts) and slow_texts.among([rows.cells[i] for i in texts])
            self._leave_out(rows.ids[np.isin(rows.ids, _long_ids(block)) | slow])

    def _leave_out(self, ids: Offsets) -> None:
        with self._lock:
            self._left_out.extend(ids.tolist())


def _ids(verified: Verified) -> Offsets:
    if verified.rows is not None:
        return verified.rows.ids
    first = verified.block.first_id
    return np.arange(first, first + verified.block.rows)


def _long_ids(block: Block) -> Offsets:
    return block.first_id + np.flatnonzero(_is_long(block))


def _is_long(block: Block) -> Flags:
    lengths = np.diff(block.ends, prepend=0)[block.filled]
    flags: Flags = lengths > fulltext.MAX_TEXT_BYTES
    return flags


def _is_null(vectors: pa.StringArray) -> Flags:
    nulls: Flags = vectors.is_null().to_numpy(zero_copy_only=False)
    return nulls
