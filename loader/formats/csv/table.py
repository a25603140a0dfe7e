"""Block -> Arrow strings, all of it text: rows x columns, with the bad rows mended or set aside.

An unquoted empty cell is null, a quoted one is ''. Short rows are padded and empty surplus cells
trimmed; a row that cannot be placed is set aside with its row number, reason and raw text. Holds
the block's cells once more, and no more rejects than the caller asks for.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from loader.formats.csv import stray
from loader.formats.csv.blocks import CsvBlock, bare_carriage_returns
from loader.formats.csv.dialect import Dialect
from loader.formats.csv.quoting import Offsets
from loader.formats.rows import Reject


@dataclass(frozen=True)
class CsvRows:
    """A block's rows as text.

    Attributes:
        block: Where they come from.
        positions: Each row's position among the block's filled records, in ``cells``' order.
        cells: One string array per column, all of the same length.
        rejects: The records that are not in ``cells``.
        repaired: The places in the file of the rows that were padded or trimmed.
    """

    block: CsvBlock
    positions: Offsets
    cells: Sequence[pa.StringArray]
    rejects: Sequence[Reject]
    repaired: Offsets

    @property
    def ids(self) -> Offsets:
        """The ``_id`` of each row: records are numbered in file order."""
        return self.block.first_id + self.positions

    @property
    def sizes(self) -> Offsets:
        """How many bytes each row has in the file, line end included."""
        return self.block.sizes[self.positions]

    @property
    def first_row(self) -> int:
        """The place of the block in the file: that of its first record."""
        return self.block.first_row

    def row_number(self, index: int) -> int:
        """Return the place in the file of the row at ``index`` in ``cells``."""
        return self.block.row_number(int(self.positions[index]))


class _Ragged:
    """Takes the rows that have not as many cells as the table columns, as Arrow meets them.

    Args:
        repair: Raw text and number of cells -> the row mended, or None.
        most: How many that cannot be mended are expected; behind one more all are left out.

    Attributes:
        indices: Of all these rows.
        mended: Index and new text of those that could be.
        misfits: Index and number of cells of those that could not.
    """

    def __init__(self, repair: Callable[[str, int], str | None], most: int) -> None:
        self.indices: list[int] = []
        self.mended: list[tuple[int, str]] = []
        self.misfits: list[tuple[int, int]] = []
        self._repair = repair
        self._most = most

    def take(self, row: arrow_csv.InvalidRow) -> str:
        """Note the row, and have Arrow go on behind it."""
        index = row.number - 1
        self.indices.append(index)
        if len(self.misfits) <= self._most:
            mended = self._repair(row.text, row.actual_columns)
            if mended is None:
                self.misfits.append((index, row.actual_columns))
            else:
                self.mended.append((index, mended))
        return "skip"


def parse(
    block: CsvBlock,
    dialect: Dialect,
    width: int,
    *,
    encoding: str = "utf-8",
    most_rejects: int = sys.maxsize,
) -> CsvRows:
    """Parse one block.

    Args:
        block: Whole records.
        dialect: How cells are cut.
        width: How many columns the table has.
        encoding: What the file is in, for the reasons.
        most_rejects: How many the caller accepts. Where there are more, one more at least is
            returned, and not all of the rest: neither rejects nor rows that need mending.
    """
    rejects: list[Reject] = []
    unreadable: list[int] = []
    for position, reason, undecodable in _unreadable(block, dialect, encoding):
        unreadable.append(position)
        if len(rejects) <= most_rejects:
            rejects.append(_reject(block, position, reason, undecodable))
    positions = np.delete(np.arange(block.rows), unreadable)
    # Arrow leaves blank lines out by itself, but not those of delimiters alone.
    is_whole = not unreadable and len(block.ends) == block.rows
    data = block.data if is_whole else block.records(positions)
    ragged = _Ragged(
        lambda raw, cells: _repair(raw, cells, dialect, width), most_rejects - len(rejects)
    )
    table = _parse(data, dialect, width, ragged)
    placed = np.delete(positions, ragged.indices)
    misfits = [(int(positions[index]), cells) for index, cells in ragged.misfits]
    repaired = np.zeros(0, np.int64)
    if ragged.mended:
        mended = positions[[index for index, _ in ragged.mended]]
        data = "".join(f"{row}\n" for _, row in ragged.mended).encode()
        still_ragged = _Ragged(lambda raw, cells: None, most_rejects)
        again = _parse(data, dialect, width, still_ragged, blank_is_row=True)
        misfits += [(int(mended[index]), cells) for index, cells in still_ragged.misfits]
        mended = np.delete(mended, still_ragged.indices)
        repaired = block.first_row + block.filled[mended]
        table = pa.concat_tables([table, again])
        placed = np.concatenate((placed, mended))
    rejects += [_reject(block, row, f"{n} cells, {width} columns") for row, n in misfits]
    return CsvRows(
        block,
        placed,
        [column.combine_chunks() for column in table.columns],
        sorted(rejects, key=lambda reject: reject.row),
        repaired,
    )


def _reject(block: CsvBlock, position: int, reason: str, undecodable: bool = False) -> Reject:
    raw = block.record(position).decode(errors="backslashreplace").rstrip("\r\n")
    return Reject(block.row_number(position), reason, raw, undecodable)


def _parse(
    data: bytes, dialect: Dialect, width: int, ragged: _Ragged, *, blank_is_row: bool = False
) -> pa.Table:
    """Parse records; those that have not ``width`` cells are left out and given to ``ragged``."""
    names = [str(i) for i in range(width)]
    if not data:
        return pa.table({name: pa.array([], pa.string()) for name in names})
    if data.startswith(codecs.BOM_UTF8):
        data = codecs.BOM_UTF8 + data  # Arrow drops the first, here it belongs to a cell
    if not data.endswith((b"\n", b"\r")):
        data += b"\n"  # without it Arrow takes an empty cell behind a quoted one as quoted too
    return arrow_csv.read_csv(
        pa.BufferReader(data),
        arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data)),
        arrow_csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            double_quote=dialect.double_quote,
            escape_char=dialect.escape or False,
            newlines_in_values=True,
            ignore_empty_lines=not blank_is_row,
            invalid_row_handler=ragged.take,
        ),
        arrow_csv.ConvertOptions(
            check_utf8=False,  # checked before, a block at a time
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=False,
        ),
    )


def _repair(raw: str, cells: int, dialect: Dialect, width: int) -> str | None:
    """Return a record with the right number of cells, or None where that cannot be."""
    record = raw.rstrip("\r\n")
    if cells < width:
        mended = record + dialect.delimiter * (width - cells)
    else:
        end = _end_without(record, cells - width, dialect)
        if end is None:
            return None
        mended = record[:end]
    # An escape or a quote in front may have made what was added or cut a part of a cell.
    cut = next(iter(dialect.records(mended)), [""])
    return mended if len(cut) == width else None


def _end_without(record: str, surplus: int, dialect: Dialect) -> int | None:
    """Return where a record ends without its last cells; None if one of them is not empty."""
    pair = (dialect.quote or "") * 2
    end = len(record)
    for _ in range(surplus):
        if pair and record.endswith(pair, 0, end):
            end -= len(pair)
        if not record.endswith(dialect.delimiter, 0, end):
            return None
        end -= len(dialect.delimiter)
    return end


def _unreadable(
    block: CsvBlock, dialect: Dialect, encoding: str
) -> Iterator[tuple[int, str, bool]]:
    """Yield what Postgres or the parser cannot take: position, reason, whether undecodable."""
    data = block.data
    suspicious = _odd_byte(data) is not None
    has_returns = not dialect.universal_newlines and b"\r" in data
    breaks_rules = block.is_torn or not stray.is_in_order(data, dialect)
    has_returns = has_returns and len(bare_carriage_returns(block)) > 0
    if not (suspicious or breaks_rules or has_returns):
        return
    for position in range(block.rows):
        record = block.record(position)
        if (odd := _odd_byte(record)) is not None:
            yield position, _not_decoded(record, odd, encoding), True
        elif has_returns and _is_several(record, dialect):
            yield position, "a carriage return outside quotes", False
        elif breaks_rules and (fault := stray.fault(record, dialect)) is not None:
            yield position, fault, False


def _odd_byte(data: bytes) -> int | None:
    """Return the offset of the first byte that is not UTF-8."""
    if data.isascii():
        return None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _not_decoded(record: bytes, odd: int, encoding: str) -> str:
    if encoding == "utf-8":
        return f"byte {odd + 1} of the row is not UTF-8"
    # Only of a single-byte encoding do odd bytes come so far: it had a byte for each character.
    return f"byte {len(record[:odd].decode()) + 1} of the row is not {encoding}"


def _is_several(record: bytes, dialect: Dialect) -> bool:
    return b"\r" in record and sum(1 for cells in dialect.records(record.decode()) if cells) > 1
