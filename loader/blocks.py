"""The text stream -> Blocks of whole records, each with its place in the file.

In: UTF-8 text in pieces of any size, and the Dialect. Out: Blocks of about 2 MiB, cut only at
record ends. A quote opens only at the start of a cell (``8" pipe`` is no opening quote), as in
RFC 4180, Python's csv and Arrow. Holds one block and what came in after it, or one record of at
most ``max_record_bytes`` if that is more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from loader.dialect import Dialect
from loader.errors import UnclosedQuote
from loader.text import Readable, read_fully

BLOCK_BYTES = 2 << 20  # each lane holds one or two of them, and memory grows with it
MAX_RECORD_BYTES = 32 << 20
_LF, _CR = 0x0A, 0x0D

Offsets = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Block:
    """Whole records and their place.

    Attributes:
        number: Blocks are counted from 0.
        data: The records, UTF-8, line ends included.
        ends: The offset past each record in ``data``, blank lines included.
        first_row: The first record's place in the file, counted from 1, blank lines included.
        first_id: The ``_id`` of the first filled record.
    """

    number: int
    data: bytes
    ends: Offsets
    first_row: int
    first_id: int

    @cached_property
    def starts(self) -> Offsets:
        """The offset of each record in ``data``, blank lines included."""
        return np.concatenate((np.zeros(min(1, len(self.ends)), np.int64), self.ends[:-1]))

    @cached_property
    def filled(self) -> Offsets:
        """The positions, among all records, of those that are not blank lines."""
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
        return np.flatnonzero(~blank)

    @property
    def rows(self) -> int:
        """How many records are not blank lines."""
        return len(self.filled)

    def row_number(self, index: int) -> int:
        """Return the place in the file of the filled record at ``index``."""
        return self.first_row + int(self.filled[index])

    def record(self, index: int) -> bytes:
        """Return the filled record at ``index``, line end included."""
        position = self.filled[index]
        return self.data[self.starts[position] : self.ends[position]]


def cut(
    text: Readable,
    dialect: Dialect,
    block_bytes: int = BLOCK_BYTES,
    max_record_bytes: int = MAX_RECORD_BYTES,
    first_times: int = 1,
) -> Iterator[Block]:
    """Cut the text into blocks, leaving out everything up to the header row.

    Args:
        text: UTF-8.
        dialect: How its records end.
        block_bytes: About how much goes into a block.
        max_record_bytes: How long a record may be.
        first_times: How many times as much goes into the first block.

    Raises:
        UnclosedQuote: A record longer than ``max_record_bytes``, or a quote still open at the
            end of the text; the row is the one that the quote opens in.
    """
    number, row, row_id, rest = 0, 1, 1, b""
    wanted, at_end = block_bytes * first_times, False
    while not at_end:
        piece = read_fully(text, wanted - len(rest))
        at_end = len(piece) < wanted - len(rest)
        data = rest + piece
        ends = record_ends(data, dialect, at_end, row)
        if not len(ends):
            if len(data) >= max_record_bytes:
                raise _unclosed(row, f"a record is longer than {max_record_bytes >> 20} MiB")
            # Twice as much each time: scanning again from the record's start stays linear.
            rest, wanted = data, min(2 * wanted, max_record_bytes)
            continue
        whole, rest, wanted = data[: ends[-1]], data[ends[-1] :], block_bytes
        block = _below_header(Block(number, whole, ends, row, row_id), dialect.header_row - row + 1)
        row += len(ends)
        if block.rows:
            yield block
            number, row_id = number + 1, row_id + block.rows


def record_ends(data: bytes, dialect: Dialect, at_end: bool, first_row: int = 1) -> Offsets:
    """Return the offset past each record that is whole in ``data``, which starts a record.

    Args:
        data: UTF-8 bytes.
        dialect: The quote, delimiter, escape and kind of line end.
        at_end: Whether the text ends with ``data``: then a last record needs no line end.
        first_row: The place of the first record, for the error.

    Raises:
        UnclosedQuote: A quote is still open at the end of the text.
    """
    octets = np.frombuffer(data, np.uint8)
    newlines = _newlines(octets, dialect, at_end)
    if dialect.quote or dialect.escape:
        newlines, open_quote = _outside_quotes(octets, newlines, dialect)
        if open_quote and at_end:
            row = first_row + len(newlines)
            raise _unclosed(row, "a quote opens and is never closed")
    ends = newlines + 1
    if at_end and len(data) and (not len(ends) or ends[-1] < len(data)):
        ends = np.append(ends, len(data))
    return ends


def bare_carriage_returns(block: Block) -> Offsets:
    """Return the offsets of CRs that are not part of a line end, inside quotes or not."""
    octets = np.frombuffer(block.data, np.uint8)
    returns = np.flatnonzero(octets == _CR)
    following = np.append(octets, np.uint8(_LF))[returns + 1]
    bare: Offsets = returns[(following != _LF) & (following != _CR)]
    return bare


def _below_header(block: Block, above: int) -> Block:
    """Drop the first ``above`` records of a block."""
    if above <= 0:
        return block
    above = min(above, len(block.ends))
    offset = int(block.ends[above - 1])
    return Block(
        block.number,
        block.data[offset:],
        block.ends[above:] - offset,
        block.first_row + above,
        block.first_id,
    )


def _newlines(octets: Bytes, dialect: Dialect, at_end: bool) -> Offsets:
    """Return the offset of each line end's last byte."""
    if not dialect.universal_newlines:
        return np.flatnonzero(octets == _LF)
    returns = np.flatnonzero(octets == _CR)
    if not at_end and len(returns) and returns[-1] == len(octets) - 1:
        returns = returns[:-1]  # its LF may be in the next piece
    following = np.append(octets, np.uint8(0))[returns + 1]
    return np.union1d(returns[following != _LF], np.flatnonzero(octets == _LF))


def _outside_quotes(octets: Bytes, newlines: Offsets, dialect: Dialect) -> tuple[Offsets, bool]:
    """Return the newlines that end records, and whether a quote is open at the end."""
    quotes = escaped = np.zeros(0, np.int64)
    if dialect.quote:
        quotes = np.flatnonzero(octets == ord(dialect.quote))
    if dialect.escape:
        escaped = _escaped(octets, ord(dialect.escape))
        quotes = quotes[~np.isin(quotes, escaped)]
        newlines = newlines[~np.isin(newlines, escaped)]
    if not len(quotes):
        return newlines, False
    opens = _at_cell_start(octets, quotes, dialect)
    if len(escaped):
        opens &= ~np.isin(quotes - 1, escaped)  # behind a delimiter that is part of the cell
    if not _alternate(quotes, opens, dialect.double_quote):
        quotes = _effective(quotes, opens, dialect.double_quote)
    inside = np.searchsorted(quotes, newlines) & 1
    return newlines[inside == 0], len(quotes) % 2 == 1


def _at_cell_start(octets: Bytes, quotes: Offsets, dialect: Dialect) -> npt.NDArray[np.bool_]:
    before = octets[quotes - 1]  # a quote at offset 0 looks at the last byte; corrected below
    opens: npt.NDArray[np.bool_] = (before == _LF) | (before == _CR) | (quotes == 0)
    opens |= before == ord(dialect.delimiter)
    return opens


def _alternate(quotes: Offsets, opens: npt.NDArray[np.bool_], double_quote: bool) -> bool:
    """Tell whether every other quote opens a cell or is the second of a doubled one.

    Then, and only then, counting quotes tells inside from outside: each odd one closes, or
    is the first of a doubled one, which the next one opens again at once.
    """
    opening = opens[0::2].copy()
    if double_quote:
        opening[1:] |= quotes[2::2] == quotes[1 : len(quotes) - 1 : 2] + 1
    return bool(opening.all())


def _effective(quotes: Offsets, opens: npt.NDArray[np.bool_], double_quote: bool) -> Offsets:
    """Return only the quotes that open or close a cell, one by one (about 100 ns each)."""
    offsets, can_open = quotes.tolist(), opens.tolist()
    kept: list[int] = []
    inside, index = False, 0
    while index < len(offsets):
        offset = offsets[index]
        if inside and double_quote and offsets[index + 1 : index + 2] == [offset + 1]:
            index += 2
            continue
        if inside or can_open[index]:
            kept.append(offset)
            inside = not inside
        index += 1
    return np.array(kept, np.int64)


def _escaped(octets: Bytes, escape: int) -> Offsets:
    """Return the offsets of the bytes that an escape character makes literal."""
    escaped: list[int] = []
    for offset in np.flatnonzero(octets == escape).tolist():
        if not escaped or escaped[-1] != offset:  # an escaped escape escapes nothing
            escaped.append(offset + 1)
    return np.array(escaped, np.int64)


def _unclosed(row: int, message: str) -> UnclosedQuote:
    return UnclosedQuote(
        message,
        row=row,
        hint="mend the quotes in this row, or name another quote character in the dialect",
    )
