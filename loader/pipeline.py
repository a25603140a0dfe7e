"""A source's URI -> a loaded table and its Report. Only this module knows the order of the steps.

    source -> unpack -> text -> dialect -> blocks -> table -> schema/convert -> encode -> lanes
    -> keys and index -> swap

Holds a few blocks for each lane and nothing that grows with the file.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import psycopg
import pyarrow as pa
from frictionless import Schema
from psycopg.rows import TupleRow

from loader import blocks, convert, dialect, encode, schema, table, text, unpack
from loader.blocks import Block
from loader.copy import database, fulltext, lanes, relation, swap
from loader.copy.fulltext import MAX_TEXT_BYTES as LONG_ROW_BYTES
from loader.copy.fulltext import FullText
from loader.dialect import Dialect
from loader.errors import (
    AircanError,
    Cancelled,
    DatabaseError,
    RowsLost,
    TooManyColumns,
)
from loader.express import Express
from loader.progress import Progress, Silent
from loader.rejects import Rejects
from loader.report import BadRows, Report
from loader.schema import Column
from loader.source import Identity, Source, SourceSettings, mask_uri, open_source
from loader.verdict import Verdict

_log = logging.getLogger(__name__)
_HEAD_BYTES = 1 << 20  # what the dialect is found in
_MOST_LANES = 4  # more only help a server with many cores and fast disks

FtsIndex = Literal["gin", "gist", "none"]


@dataclass(frozen=True)
class Options:
    """How to load; every default is right for most files.

    Attributes:
        resource_id: The table's name; by default made from the file's name.
        datastore_url: A Postgres URL; by default ``AIRCAN_DATASTORE_URL``, and without it the
            embedded PostgreSQL.
        schema: A frictionless Table Schema descriptor; it need not name every column.
        encoding: The name of a Python codec; None to find it.
        dialect: A frictionless Dialect descriptor.
        delimiter: One character; wins over the dialect's.
        header_row: Counted from 1, blank lines included; 0 means none; None to find it.
        lanes: Connections that COPY side by side; None for one for each core, at most 4.
        full_text: Which columns ``_full_text`` makes searchable.
        fts_index: The index on it.
        max_bad_rows: How many rows may be set aside.
        rejects: Where those rows go; by default ``<resource_id>.rejects.csv``.
        on_type_error: What a value that does not fit its declared type does: ``fail``, or
            ``widen`` the column to one that holds it.
        source: Timeouts and retries of the source.
    """

    resource_id: str | None = None
    datastore_url: str | None = None
    schema: Mapping[str, object] | None = None
    encoding: str | None = None
    dialect: Mapping[str, object] | None = None
    delimiter: str | None = None
    header_row: int | None = None
    lanes: int | None = None
    full_text: FullText = "all"
    fts_index: FtsIndex = "gin"
    max_bad_rows: int = 1000
    rejects: str | os.PathLike[str] | None = None
    on_type_error: Literal["fail", "widen"] = "fail"
    source: SourceSettings = field(default_factory=SourceSettings)


@dataclass(frozen=True)
class Reading:
    """A source being read: what its head tells, and its blocks from the first on."""

    source: Source
    text: text.TextStream
    dialect: Dialect
    columns: Sequence[Column]
    missing: Sequence[str]
    preamble: int
    blocks: Iterator[Block]


def load(uri: str, options: Options = Options(), progress: Progress | None = None) -> Report:
    """Load a CSV into a DataStore table, which is replaced when the new one is whole.

    Args:
        uri: A local path, or an http(s):// or gs:// URL.
        options: How to load.
        progress: Is told of every step and block.

    Returns:
        What was loaded.

    Raises:
        AircanError: The old table is as it was; ``error.report`` tells how far the load came.
            Ctrl-C raises Cancelled.
    """
    resource_id = options.resource_id or default_resource_id(uri)
    report = Report(resource_id, mask_uri(uri))
    try:
        with report.timing("total"):
            _Load(uri, options, report, progress or Silent()).run()
    except AircanError as error:
        error.report, report.error = report, error
        raise
    except KeyboardInterrupt as interrupt:
        cancelled = Cancelled("the load was stopped", hint="the old table is as it was")
        cancelled.report, report.error = report, cancelled
        raise cancelled from interrupt
    return report


def default_resource_id(uri: str) -> str:
    """Return a table's name for a source: its file's name without endings, in lower case."""
    path = re.split(r"[?#]", uri)[0] if "://" in uri else uri
    stem = Path(path.rstrip("/")).name.split(".")[0]
    slug = re.sub(r"\W+", "_", stem.lower()).strip("_")
    return slug.encode()[:48].decode(errors="ignore") or "table"


def default_datastore() -> str:
    """Return ``AIRCAN_DATASTORE_URL``, or the URL of the embedded PostgreSQL, started."""
    from loader import embedded  # needs a wheel that only its users install

    return os.environ.get("AIRCAN_DATASTORE_URL") or embedded.start()


def default_lanes() -> int:
    """Return one lane for each core this process may use, at most 4."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, _MOST_LANES)


@contextmanager
def read(
    uri: str, options: Options, expected: Identity | None = None
) -> Iterator[Reading]:
    """Open a source and find out what its head tells.

    Raises:
        SourceError, TableError, UsageError: See ``loader.errors``.
    """
    declared = dialect.declare(options.dialect, options.delimiter, options.header_row)
    declared_schema = schema.read_descriptor(options.schema)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(uri, options.source, expected))
        content = stack.enter_context(unpack.unpack(source))
        stream = text.decode(content, options.encoding)
        head = _read_head(stream)
        found, headers, preamble = dialect.detect(head, declared, len(head) < _HEAD_BYTES)
        if len(headers) > relation.MAX_COLUMNS:
            raise TooManyColumns(
                f"the table has {len(headers)} columns",
                hint=f"Postgres takes {relation.MAX_COLUMNS}, beside _id and _full_text",
            )
        cut = blocks.cut(_Rejoined(head, stream), found)
        first = next(cut, None)
        missing = declared_schema.missing_values if declared_schema else [""]
        columns = _infer(first, found, headers, declared_schema, missing)
        yield Reading(
            source,
            stream,
            found,
            columns,
            missing,
            preamble,
            itertools.chain([first] if first else [], cut),
        )


def _infer(
    first: Block | None,
    found: Dialect,
    headers: Sequence[str],
    declared: Schema | None,
    missing: Sequence[str],
) -> list[Column]:
    """Guess from distinct values of the first block, then hold the guess against all of it."""
    if first is None:
        return schema.infer(headers, [pa.array([], pa.string())] * len(headers), declared)
    rows = table.parse(first, found, len(headers))
    columns = schema.infer(headers, rows.cells, declared)
    verdict = Verdict(columns, missing, widen_declared=True)
    verdict.convert(rows)
    return [
        # Nothing is loaded yet, so nothing was widened; a declared type is not given up so early.
        column if column.field else replace(settled, widened_from=None)
        for column, settled in zip(columns, verdict.columns, strict=True)
    ]


class _Rejoined:
    """A text stream with the head that was read of it put back."""

    def __init__(self, head: bytes, stream: text.TextStream) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int) -> bytes:
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._stream.read(size)


def _read_head(stream: text.TextStream) -> bytes:
    pieces, missing = [], _HEAD_BYTES
    while missing > 0 and (piece := stream.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


class _Pass:
    """One reading of the source into one shadow table: what the lanes do with each block."""

    def __init__(self, reading: Reading, verdict: Verdict, rejects: Rejects) -> None:
        self.rows_read = 0
        self.rows_encoded = 0
        self.rows_repaired = 0
        self.blank_lines = 0
        self.long_ids: list[int] = []
        self._reading = reading
        self._verdict = verdict
        self._express = Express(verdict.columns, reading.dialect)
        self._rejects = rejects
        self._lock = threading.Lock()

    def blocks(self, progress: Progress) -> Iterator[Block]:
        """Yield the source's blocks, counting them; in the reader's thread."""
        for block in self._reading.blocks:
            self.rows_read += block.rows
            self.blank_lines += len(block.ends) - block.rows
            yield block
            progress.advance(self._reading.source.bytes_read, self.rows_read)

    def encode(self, block: Block) -> list[memoryview] | None:
        """Return a block's COPY text, or None once a column was widened; in a lane's thread."""
        if self._verdict.widened:
            return self._encode_mended(block)
        encoded = self._express.encode(block)
        if encoded is None:
            return self._encode_mended(block)
        self._rejects.add(block.number, [])
        self._count(block, rows=block.rows, repaired=0)
        return encoded

    def _encode_mended(self, block: Block) -> list[memoryview] | None:
        dialect = self._reading.dialect
        rows = table.parse(block, dialect, len(self._verdict.columns))
        self._rejects.add(block.number, rows.rejects)
        converted = self._verdict.convert(rows)
        if converted is None:
            return None
        self._count(block, rows=len(rows.positions), repaired=rows.repaired)
        return encode.encode(rows.ids, converted, dialect.delimiter, dialect.line_end)

    def _count(self, block: Block, rows: int, repaired: int) -> None:
        long = np.flatnonzero(np.diff(block.ends, prepend=0)[block.filled] > LONG_ROW_BYTES)
        with self._lock:
            self.rows_encoded += rows
            self.rows_repaired += repaired
            self.long_ids += (block.first_id + long).tolist()


class _Load:
    """One load: the connection that holds the resource's lock, and what every step needs."""

    def __init__(
        self,
        uri: str,
        options: Options,
        report: Report,
        progress: Progress,
    ) -> None:
        self.uri = uri
        self.options = options
        self.report = report
        self.progress = progress
        self.names = relation.name(report.resource_id)
        self.url = database.normalise_url(options.datastore_url or default_datastore())

    def run(self) -> None:
        """Copy, finalize, swap; the shadow is gone afterwards, whatever happens."""
        with closing(database.connect(self.url, f"load {self.names.live}")) as connection:
            relation.lock(connection, self.names)
            swap.check_live(connection, self.names)
            for orphan in relation.drop_orphans(connection, self.names):
                _log.info("dropped %s, left by a load that was killed", orphan)
            try:
                columns, done = self._copy_until_settled(connection)
                self._finalize(connection, columns, done.long_ids)
                with self._step("swap", "swapping the tables"):
                    swap.swap(connection, self.names, done.rows_read)
            except BaseException:
                self._drop_shadow(connection)
                raise

    def _drop_shadow(self, connection: psycopg.Connection[TupleRow]) -> None:
        try:
            relation.drop(connection, self.names)
        except DatabaseError as error:  # must not hide why the load failed
            _log.warning("%s stays until the next load: %s", self.names.shadow, error)

    @contextmanager
    def _step(self, name: str, title: str) -> Iterator[None]:
        self.progress.begin(title)
        with self.report.timing(name):
            yield
        _log.info("%s: %.2f s so far", title, self.report.timings_s[name])

    def _copy_until_settled(
        self, connection: psycopg.Connection[TupleRow]
    ) -> tuple[list[Column], _Pass]:
        """Copy the source with the guessed types, and again if the rows proved a guess wrong."""
        verdict: Verdict | None = None
        identity: Identity | None = None
        while True:
            with ExitStack() as stack:
                with self._step("infer", "reading the header"):
                    reading = stack.enter_context(read(self.uri, self.options, identity))
                identity = reading.source.identity
                verdict = Verdict(
                    verdict.columns if verdict else reading.columns,
                    reading.missing,
                    widen_declared=self.options.on_type_error == "widen",
                )
                self.progress.expect(reading.source.size)
                with self._step("copy", "copying rows"):
                    done = self._copy(connection, reading, verdict)
            self.report.warnings += verdict.reasons
            if not verdict.widened:
                return verdict.columns, done

    def _copy(
        self, connection: psycopg.Connection[TupleRow], reading: Reading, verdict: Verdict
    ) -> _Pass:
        columns = [(column.name, column.type) for column in verdict.columns]
        relation.drop(connection, self.names)
        relation.create(connection, self.names, columns, self._expression(connection, columns))
        with ExitStack() as stack:
            rejects = stack.enter_context(self._rejects())
            connections = [
                stack.enter_context(closing(database.connect(self.url, f"lane {lane + 1}")))
                for lane in range(self.options.lanes or default_lanes())
            ]
            one_pass = _Pass(reading, verdict, rejects)
            try:
                copied = lanes.copy(
                    one_pass.blocks(self.progress),
                    one_pass.encode,
                    connections,
                    lanes.statement(
                        self.names.shadow,
                        [name for name, _ in columns],
                        reading.dialect.delimiter,
                    ),
                    connection,
                )
            finally:
                self._describe(reading, verdict, one_pass, rejects)
            if verdict.widened:
                rejects.discard()
                return one_pass
        self.report.rows = copied
        if not one_pass.rows_read - rejects.count == one_pass.rows_encoded == copied:
            raise RowsLost(
                f"{one_pass.rows_read} rows read, {rejects.count} set aside, {copied} stored",
                hint="please report this file: the old table is as it was",
            )
        self._warn(reading, one_pass)
        return one_pass

    def _rejects(self) -> Rejects:
        path = self.options.rejects or f"{self.names.live.replace('/', '_')}.rejects.csv"
        return Rejects(Path(path), self.options.max_bad_rows)

    def _expression(
        self, connection: psycopg.Connection[TupleRow], columns: Sequence[tuple[str, str]]
    ) -> str | None:
        if self.options.full_text == "none":
            return None
        config, time_zone = fulltext.settings(connection)
        literals = fulltext.keeps_numbers(connection, config)
        return fulltext.expression(columns, self.options.full_text, config, time_zone, literals)

    def _describe(
        self, reading: Reading, verdict: Verdict, one_pass: _Pass, rejects: Rejects
    ) -> None:
        """Put into the report what is known, also when the copy failed."""
        self.report.bytes = reading.source.bytes_read
        self.report.columns = [
            {
                "id": column.name,
                "type": column.type,
                "inferred_as": column.inferred_as,
                "widened_from": column.widened_from,
            }
            for column in verdict.columns
        ]
        self.report.bad_rows = BadRows(
            rejected=rejects.count,
            repaired=one_pass.rows_repaired,
            rejects=str(rejects.path) if rejects.count else None,
            first=[{"row": reject.row, "reason": reject.reason} for reject in rejects.first],
        )

    def _warn(self, reading: Reading, one_pass: _Pass) -> None:
        warnings = self.report.warnings
        if reading.preamble:
            warnings.append(
                f"{reading.preamble} rows above the header, row {reading.dialect.header_row},"
                " were left out"
            )
        if one_pass.blank_lines:
            warnings.append(f"{one_pass.blank_lines} blank lines were left out")
        if self.options.encoding is None and reading.text.encoding != "utf-8":
            warnings.append(f"the encoding was found to be {reading.text.encoding}")

    def _finalize(
        self,
        connection: psycopg.Connection[TupleRow],
        columns: Sequence[Column],
        long_ids: Sequence[int],
    ) -> None:
        searchable = self.options.full_text != "none"
        with self._step("primary_key", "adding the primary key"):
            relation.add_primary_key(connection, self.names)
        if searchable:
            relation.keep_full_text(connection, self.names)
            cut = fulltext.fill_long_rows(
                connection,
                self.names.shadow,
                [(column.name, column.type) for column in columns],
                self.options.full_text,
                long_ids,
            )
            self.report.warnings += [
                f"_id {row_id}: too long to be searched whole, its beginning is" for row_id in cut
            ]
        if searchable and self.options.fts_index != "none":
            with self._step("full_text_index", "indexing the full text"):
                relation.add_full_text_index(connection, self.names, self.options.fts_index)
        with self._step("analyze", "analysing the table"):
            relation.analyze(connection, self.names)
            relation.add_trigger(connection, self.names)
            renamed = [(c.name, c.header) for c in columns if c.header.strip() not in ("", c.name)]
            relation.label(connection, self.names, renamed)
