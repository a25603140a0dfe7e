"""Block -> Arrow strings, all of it text: rows x columns, with the bad rows mended or set aside.

An unquoted empty cell is null, a quoted one is ''. Short rows are padded and empty surplus cells
trimmed; a row that cannot be placed is set aside with its row number, reason and raw text. Holds
the block's cells once more.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from loader.blocks import Block, Offsets, bare_carriage_returns
from loader.dialect import Dialect


@dataclass(frozen=True)
class Reject:
    """A record set aside; ``row`` is its place in the file, counted from 1."""

    row: int
    reason: str
    raw: str


@dataclass(frozen=True)
class Rows:
    """A block's rows as text.

    Attributes:
        block: Where they come from.
        positions: Each row's position among the block's filled records, in ``cells``' order.
        cells: One string array per column, all of the same length.
        rejects: The records that are not in ``cells``.
        repaired: How many rows were padded or trimmed.
    """

    block: Block
    positions: Offsets
    cells: Sequence[pa.StringArray]
    rejects: Sequence[Reject]
    repaired: int

    @property
    def ids(self) -> Offsets:
        """The ``_id`` of each row: records are numbered in file order."""
        return self.block.first_id + self.positions

    def row_number(self, index: int) -> int:
        """Return the place in the file of the row at ``index`` in ``cells``."""
        return self.block.row_number(int(self.positions[index]))


@dataclass(frozen=True)
class _Parsed:
    table: pa.Table
    positions: Offsets
    ragged: Sequence[tuple[int, int, str]]  # position, number of cells, raw text


def parse(block: Block, dialect: Dialect, width: int) -> Rows:
    """Parse one block.

    Args:
        block: Whole records.
        dialect: How cells are cut.
        width: How many columns the table has.
    """
    unreadable = _unreadable(block, dialect)
    positions = np.delete(np.arange(block.rows), [position for position, _ in unreadable])
    data = b"".join(block.record(int(i)) for i in positions) if unreadable else block.data
    parsed = _parse(data, positions, dialect, width)
    table, mended, misfits = parsed.table, 0, []
    if parsed.ragged:
        repaired = [_repair(raw, cells, dialect, width) for _, cells, raw in parsed.ragged]
        fits = [i for i in range(len(repaired)) if repaired[i] is not None]
        again = _parse(
            "".join(f"{repaired[i]}\n" for i in fits).encode(),
            np.array([parsed.ragged[i][0] for i in fits], np.int64),
            dialect,
            width,
            blank_is_row=True,
        )
        table = pa.concat_tables([table, again.table])
        parsed = replace(parsed, positions=np.concatenate((parsed.positions, again.positions)))
        mended = again.table.num_rows
        misfits = [r for i, r in enumerate(parsed.ragged) if repaired[i] is None]
        misfits += again.ragged
    rejects = [
        Reject(block.row_number(position), reason, _shown(block.record(position)))
        for position, reason in [
            *unreadable,
            *((position, f"{cells} cells, {width} columns") for position, cells, _ in misfits),
        ]
    ]
    return Rows(
        block,
        parsed.positions,
        [column.combine_chunks() for column in table.columns],
        sorted(rejects, key=lambda reject: reject.row),
        mended,
    )


def _parse(
    data: bytes, positions: Offsets, dialect: Dialect, width: int, *, blank_is_row: bool = False
) -> _Parsed:
    """Parse records; those that have not ``width`` cells are left out and returned as ragged."""
    names = [str(i) for i in range(width)]
    if not data:
        return _Parsed(pa.table({name: pa.array([], pa.string()) for name in names}), positions, [])
    ragged: list[tuple[int, int, str]] = []

    def set_aside(row: arrow_csv.InvalidRow) -> str:
        ragged.append((row.number - 1, row.actual_columns, row.text))
        return "skip"

    if data.startswith(codecs.BOM_UTF8):
        data = codecs.BOM_UTF8 + data  # Arrow drops the first, here it belongs to a cell
    if not data.endswith((b"\n", b"\r")):
        data += b"\n"  # without it Arrow takes an empty cell behind a quoted one as quoted too
    table = arrow_csv.read_csv(
        pa.BufferReader(data),
        arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data)),
        arrow_csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote or False,
            double_quote=dialect.double_quote,
            escape_char=dialect.escape or False,
            newlines_in_values=True,
            ignore_empty_lines=not blank_is_row,
            invalid_row_handler=set_aside,
        ),
        arrow_csv.ConvertOptions(
            check_utf8=False,  # checked before, a block at a time
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=False,
        ),
    )
    kept = np.delete(positions, [index for index, _, _ in ragged])
    return _Parsed(
        table, kept, [(int(positions[index]), cells, raw) for index, cells, raw in ragged]
    )


def _repair(raw: str, cells: int, dialect: Dialect, width: int) -> str | None:
    """Return a record with the right number of cells, or None where that cannot be."""
    record = raw.rstrip("\r\n")
    if cells < width:
        mended = record + dialect.delimiter * (width - cells)
    else:
        quote = re.escape(dialect.quote or "")
        empty_cell = f"{re.escape(dialect.delimiter)}(?:{quote}{quote})?"
        surplus = re.search(f"(?:{empty_cell}){{{cells - width}}}$", record)
        if surplus is None:
            return None
        mended = record[: surplus.start()]
    # An escape or a quote in front may have made what was added or cut a part of a cell.
    cut = next(iter(dialect.records(mended)), [""])
    return mended if len(cut) == width else None


def _unreadable(block: Block, dialect: Dialect) -> list[tuple[int, str]]:
    """Return position and reason of the records that Postgres or the parser cannot take."""
    data = block.data
    suspicious = b"\0" in data or not _is_utf8(data)
    if not suspicious and (dialect.universal_newlines or b"\r" not in data):
        return []
    if not suspicious and not len(bare_carriage_returns(block)):
        return []
    found = ((i, _why_unreadable(block.record(i), dialect)) for i in range(block.rows))
    return [(position, reason) for position, reason in found if reason]


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _why_unreadable(record: bytes, dialect: Dialect) -> str | None:
    if b"\0" in record:
        return "a NUL character, which Postgres cannot store"
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} of the row is not UTF-8"
    if dialect.universal_newlines or "\r" not in text:
        return None
    several = sum(1 for cells in dialect.records(text) if cells) > 1
    return "a carriage return outside quotes" if several else None


def _shown(record: bytes) -> str:
    return record.decode(errors="backslashreplace").rstrip("\r\n")
