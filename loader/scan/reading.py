"""A stream's head -> what is known before the first row is loaded: dialect, encoding, columns.

In: a binary stream and what is known of it. Out: a Reading, whose blocks go on from the first one.
Holds the first block, which the guessed types are held against.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from loader.errors import TooManyColumns
from loader.formats.csv import blocks, dialect, table, text
from loader.formats.csv.blocks import Block
from loader.formats.csv.dialect import Dialect
from loader.formats.csv.table import Rows
from loader.formats.csv.text import Readable, WithoutDosEnd
from loader.scan import rowless
from loader.scan.settings import ReadSettings
from loader.types import registry, schema
from loader.types.column import Column
from loader.types.descriptor import check_levels
from loader.types.schema import Declared
from loader.types.verification import Verification

MAX_COLUMNS = 1600 - 2  # Postgres's limit, less _id and _full_text
_HEAD_BYTES = 1 << 20  # what the dialect is found in
_FIRST_TIMES = 2  # the more rows types are guessed from, the seldomer one proves wrong later
_SAMPLED_ROWS = 5000


@dataclass(frozen=True)
class Reading:
    """A table being read: what its head tells, and its blocks from the first on."""

    text: text.TextStream
    whole: WithoutDosEnd  # the same without what a file of DOS ends in
    dialect: Dialect
    columns: Sequence[Column]
    missing: Sequence[str]
    preamble: int
    blocks: Iterator[Block]
    sample: Sequence[pa.StringArray]  # the first rows, by column
    header_may_be_data: bool
    guessed_rowless: bool  # there is no row, and nobody has said which one the header is


def read(
    content: BinaryIO, settings: ReadSettings, types: Mapping[str, str] | None = None
) -> Reading:
    """Find out what the head of a table tells.

    Args:
        content: Its bytes, from the first on.
        settings: How to read it.
        types: The Postgres types that columns must have, by name: they win over the schema.

    Raises:
        SourceError, TableError, UsageError: See ``loader.errors``.
    """
    check_levels(settings.dialect, "the dialect")
    declared = dialect.declare(settings.dialect, settings.delimiter, settings.header_row)
    declared_schema = schema.read_descriptor(settings.schema)
    stream = text.decode(content, settings.encoding)
    whole = WithoutDosEnd(stream)
    head = text.read_fully(whole, _HEAD_BYTES)
    found, headers, preamble = dialect.detect(head, declared, len(head) < _HEAD_BYTES)
    if len(headers) > MAX_COLUMNS:
        raise TooManyColumns(
            f"the table has {len(headers)} columns",
            hint=f"Postgres takes {MAX_COLUMNS}, beside _id and _full_text",
        )
    cut = blocks.cut(_Rejoined(head, whole), found, first_times=_FIRST_TIMES, width=len(headers))
    first = next(cut, None)
    declared_header = declared_schema is not None and declared_schema.names_all(headers)
    if first is None:
        rowless.check(
            rowless.Rowless(
                head=head,
                encoding=stream.encoding,
                dialect=found,
                headers=headers,
                named_encoding=settings.encoding is not None,
                named_header=declared.header_row is not None,
                declared=declared_header,
            )
        )
    else:
        dialect.refuse_controls(headers)
    missing = declared_schema.missing if declared_schema else [""]
    rows = None
    if first:
        rows = table.parse(first, found, len(headers), most_rejects=settings.max_bad_rows)
    columns = _infer(rows, headers, declared_schema, types or {}, missing)
    return Reading(
        text=stream,
        whole=whole,
        dialect=found,
        columns=columns,
        missing=missing,
        preamble=preamble,
        blocks=rowless.with_values(itertools.chain([first] if first else [], cut), found),
        sample=_sample(rows, len(headers)),
        header_may_be_data=declared.header_row is None and _may_be_data(columns),
        guessed_rowless=first is None and declared.header_row is None and not declared_header,
    )


def _infer(
    rows: Rows | None,
    headers: Sequence[str],
    declared: Declared | None,
    types: Mapping[str, str],
    missing: Sequence[str],
) -> list[Column]:
    """Guess from distinct values of the first rows, then hold the guess against all of them."""
    if rows is None:
        return schema.infer(headers, [pa.array([], pa.string())] * len(headers), declared, types)
    columns = schema.infer(headers, rows.cells, declared, types)
    verification = Verification(columns, missing, widen_declared=True)
    verification.verify(rows)
    return [
        # Nothing is loaded yet, so nothing was widened; a declared type is not given up so early.
        column if column.declared else replace(settled, widened_from=None)
        for column, settled in zip(columns, verification.columns, strict=True)
    ]


def _sample(rows: Rows | None, width: int) -> list[pa.StringArray]:
    if rows is None:
        return [pa.array([], pa.string())] * width
    first = pa.array(np.arange(min(_SAMPLED_ROWS, len(rows.positions))))
    return [column.take(first) for column in rows.cells]  # a slice would keep all the rest


def _may_be_data(columns: Sequence[Column]) -> bool:
    """Tell whether every cell of the header would do as a value of its column, none being text."""
    return all(
        column.declared is None  # a declared name is one
        and column.type != registry.TEXT
        and column.header.strip()
        and column.check.fits(pa.array([column.header]))
        for column in columns
    )


class _Rejoined:
    """A text stream with the head that was read of it put back."""

    def __init__(self, head: bytes, stream: Readable) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int) -> bytes:
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._stream.read(size)
