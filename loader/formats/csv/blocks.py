"""The text stream -> Blocks of whole records, each with its place in the file.

In: UTF-8 text in pieces of any size, and the Dialect. Out: Blocks of about 2 MiB, cut only at
record ends: ``quoting`` tells which line ends those are. Holds one block and what came in after
it, or one record of at most ``max_record_bytes`` if that is more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from loader.formats.csv import quoting, stray
from loader.formats.csv.dialect import Dialect
from loader.formats.csv.plain import Rewriter
from loader.formats.csv.quoting import Offsets
from loader.formats.readable import Readable, read_fully
from loader.formats.rows import Records

BLOCK_BYTES = 2 << 20  # each lane holds one or two of them, and memory grows with it
MAX_RECORD_BYTES = 32 << 20
# The first block has twice the bytes, and each cell of a row that has all of them has a byte.
MOST_CELLS = 2 * BLOCK_BYTES
_LF, _CR = 0x0A, 0x0D


@dataclass(frozen=True)
class CsvBlock:
    """Whole records and their place.

    Attributes:
        number: Blocks are counted from 0.
        data: The records, UTF-8, line ends included.
        ends: The offset past each record in ``data``, blank lines included.
        first_row: The first record's place in the file, counted from 1, blank lines included.
        first_id: The ``_id`` of the first filled record.
        delimiter: What is between cells: a record of delimiters alone is none, as spreadsheets
            leave them below a table.
        comments: How many of the blank lines were lines of comment; of all parts of a block.
        is_torn: Whether a stray quote opens one of the records: it ends with its line, but read
            together with those behind it, it would not.
    """

    number: int
    data: bytes
    ends: Offsets
    first_row: int
    first_id: int
    delimiter: str = ","
    comments: int = 0
    is_torn: bool = False

    @cached_property
    def starts(self) -> Offsets:
        """The offset of each record in ``data``, blank lines included."""
        return np.concatenate((np.zeros(min(1, len(self.ends)), np.int64), self.ends[:-1]))

    @cached_property
    def filled(self) -> Offsets:
        """The positions, among all records, of those that are not blank lines.

        Delimiters alone make a blank line, too.
        """
        if not len(self.ends):
            return np.zeros(0, np.int64)
        octets = np.frombuffer(self.data, np.uint8)
        first, last = octets[self.starts], octets[self.ends - 1]
        blank = (first == _LF) | (first == _CR)
        # In a file of LFs a record may begin with a CR, and the last one have no LF.
        more = (self.ends - self.starts > 2) | (last != _LF) & (last != _CR)
        for position in np.flatnonzero((first == _CR) & more).tolist():
            record = self.data[self.starts[position] : self.ends[position]]
            blank[position] = not record.strip(b"\r\n")
        delimiter = self.delimiter.encode()
        second = octets[np.minimum(self.starts + 1, len(octets) - 1)]
        empty = (first == delimiter[0]) & np.isin(second, [delimiter[0], _LF, _CR])
        for position in np.flatnonzero(empty).tolist():
            record = self.data[self.starts[position] : self.ends[position]]
            blank[position] = not record.strip(delimiter + b"\r\n")
        return np.flatnonzero(~blank)

    @property
    def rows(self) -> int:
        """How many records are not blank lines."""
        return len(self.filled)

    @property
    def blank_lines(self) -> int:
        """How many records are blank lines, comments aside."""
        return len(self.ends) - self.rows - self.comments

    @property
    def sizes(self) -> Offsets:
        """How many bytes each record has that is not a blank line, line end included."""
        sizes: Offsets = np.diff(self.ends, prepend=0)[self.filled]
        return sizes

    def as_records(self) -> Records:
        """Return the records as they are, of which none is blank; no byte of them is copied."""
        ends = np.concatenate((np.zeros(1, np.int32), self.ends.astype(np.int32)))
        buffers = pa.py_buffer(ends), pa.py_buffer(self.data)
        return Records(self.first_id, pa.StringArray.from_buffers(self.rows, *buffers))

    def row_number(self, index: int) -> int:
        """Return the place in the file of the filled record at ``index``."""
        return self.first_row + int(self.filled[index])

    def records(self, indices: Offsets) -> bytes:
        """Return some of the filled records, line ends included."""
        kept = np.zeros(len(self.ends), bool)
        kept[self.filled[indices]] = True
        octets = np.frombuffer(self.data, np.uint8)
        records: bytes = octets[np.repeat(kept, np.diff(self.ends, prepend=0))].tobytes()
        return records

    def record(self, index: int) -> bytes:
        """Return the filled record at ``index``, line end included."""
        position = self.filled[index]
        return self.data[self.starts[position] : self.ends[position]]


def cut(  # noqa: PLR0913, PLR0917  (but for two of them, defaults that tests change)
    text: Readable,
    dialect: Dialect,
    block_bytes: int = BLOCK_BYTES,
    max_record_bytes: int = MAX_RECORD_BYTES,
    first_times: int = 1,
    width: int = 1,
    rewriter: Rewriter | None = None,
) -> Iterator[CsvBlock]:
    """Cut the text into blocks, leaving out everything up to the header row.

    Args:
        text: UTF-8.
        dialect: How its records end.
        block_bytes: About how much goes into a block.
        max_record_bytes: How long a record may be.
        first_times: How many times as much goes into the first block.
        width: The columns of the table. Rows that lack most of their cells are padded: there are
            no more of them in a block than have ``MOST_CELLS``.
        rewriter: What makes an unusual dialect a usual one, and counts the comments.

    Raises:
        UnclosedQuote: A record longer than ``max_record_bytes``, or a quote still open at the
            end of the text; the row is the one that the quote opens in.
    """
    rewriter = rewriter or Rewriter(dialect)
    number, row, row_id, rest = 0, 1, 1, b""
    if dialect.begin is not None:
        read_fully(text, dialect.begin)
        row = 1 + max(dialect.header_row, dialect.above)
    most_records = max(1, MOST_CELLS // max(1, width))
    wanted, at_end = block_bytes * first_times, False
    while not at_end:
        piece = read_fully(text, wanted - len(rest))
        at_end = len(piece) < wanted - len(rest)
        data, comments = rewriter.rewrite(rest + piece, at_end)
        is_longest = len(data) >= max_record_bytes
        ends, is_torn = stray.record_ends(data, dialect, at_end, row, is_longest)
        if not len(ends):
            if is_longest:
                raise stray.unclosed(row, f"a record is longer than {max_record_bytes >> 20} MiB")
            # Twice as much each time: scanning again from the record's start stays linear.
            rest, wanted = data, min(2 * wanted, max_record_bytes)
            continue
        above = min(len(ends), max(0, dialect.header_row - row + 1))  # those up to the header's
        begin, end = int(ends[above - 1]) if above else 0, int(ends[-1])
        block = CsvBlock(
            number,
            data[begin:end],
            ends[above:] - begin,
            row + above,
            row_id,
            dialect.delimiter,
            comments,
            is_torn,
        )
        rest, wanted, row = data[end:], block_bytes, row + len(ends)
        for part in _parts(block, most_records):
            yield part
            number, row_id = part.number + 1, part.first_id + part.rows


def bare_carriage_returns(block: CsvBlock) -> Offsets:
    """Return the offsets of CRs that are not part of a line end, inside quotes or not."""
    octets = np.frombuffer(block.data, np.uint8)
    returns = np.flatnonzero(octets == _CR)
    bare: Offsets = returns[quoting.is_bare(octets, returns)]
    return bare


def _parts(block: CsvBlock, most_records: int) -> Iterator[CsvBlock]:
    """Yield a block, or several in its place; none of them without a row."""
    if len(block.ends) <= most_records:
        if block.rows:
            yield block
        return
    number, row_id = block.number, block.first_id
    for first in range(0, len(block.ends), most_records):
        begin = int(block.ends[first - 1]) if first else 0
        ends = block.ends[first : first + most_records]
        part = replace(
            block,
            number=number,
            data=block.data[begin : ends[-1]],
            ends=ends - begin,
            first_row=block.first_row + first,
            first_id=row_id,
        )
        if part.rows:
            yield part
            block = replace(block, comments=0)
            number, row_id = number + 1, row_id + part.rows
