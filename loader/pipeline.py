"""A source's URI -> a loaded table and its Report. Only this module knows the order of the steps.

    source -> unpack -> text -> dialect -> blocks -> table -> schema/convert -> encode -> lanes
    -> keys and index -> swap

Holds a few blocks for each lane and nothing that grows with the file.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import perf_counter

import numpy as np
import psycopg
from psycopg.rows import TupleRow

from loader import encode, table
from loader.blocks import Block
from loader.copy import database, fulltext, lanes, relation, swap
from loader.errors import AircanError, Cancelled, DatabaseError, RowsLost, UsageError
from loader.express import Express
from loader.options import Options, default_datastore, default_lanes, default_resource_id
from loader.progress import Progress, Silent
from loader.reading import Reading, read
from loader.rejects import Rejects, remove_leftovers, remove_stale
from loader.report import BadRows, Report
from loader.schema import Column
from loader.source import Identity, mask_uri
from loader.source.failures import changed
from loader.verdict import Verdict

_log = logging.getLogger(__name__)


def load(
    uri: str | os.PathLike[str],
    options: Options = Options(),
    progress: Progress | None = None,
) -> Report:
    """Load a CSV into a DataStore table, which is replaced when the new one is whole.

    Args:
        uri: A local path, or an http(s):// or gs:// URL.
        options: How to load.
        progress: Is told of every step and block.

    Returns:
        What was loaded.

    Raises:
        AircanError: The old table is as it was, unless the hint says that nobody can know;
            ``error.report`` tells how far the load came. Ctrl-C raises Cancelled.
    """
    uri = os.fspath(uri)
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
        self._express = Express(verdict.columns, reading.dialect, reading.missing)
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
        encoded = self._express.encode(block)
        if encoded is None:
            return self._encode_mended(block)
        self._rejects.add(block.number, [])
        self._count(block, rows=block.rows, repaired=0)
        # A block that fits the narrower types has nothing to add to a verdict.
        return None if self._verdict.widened else encoded

    def _encode_mended(self, block: Block) -> list[memoryview] | None:
        dialect = self._reading.dialect
        rows = table.parse(
            block,
            dialect,
            len(self._verdict.columns),
            encoding=self._reading.text.encoding,
            most_rejects=self._rejects.limit,
        )
        self._rejects.add(block.number, rows.rejects)
        converted = self._verdict.convert(rows)
        if converted is None:
            return None
        self._count(block, rows=len(rows.positions), repaired=rows.repaired)
        return encode.encode(rows.ids, converted, dialect.delimiter, dialect.line_end)

    def _count(self, block: Block, rows: int, repaired: int) -> None:
        long = np.flatnonzero(
            np.diff(block.ends, prepend=0)[block.filled] > fulltext.MAX_TEXT_BYTES
        )
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
        self.stored = 0  # rows in the shadow
        self.names = relation.name(report.resource_id)
        self.rejects = Path(options.rejects or f"{self.names.live.replace('/', '_')}.rejects.csv")
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
                self._swap(connection, done.rows_read)
            except BaseException:
                self._drop_shadow(connection)
                raise
            if self.options.rejects is None and not self.report.bad_rows.rejected:
                remove_stale(self.rejects)

    def _swap(self, connection: psycopg.Connection[TupleRow], last_id: int) -> None:
        # Two files may have one name.
        warns = self.options.resource_id is None and swap.exists(connection, self.names)
        with self._step("swap", "swapping the tables"):
            self.report.warnings += swap.swap(connection, self.names, last_id)
        self.report.rows = self.stored
        if warns:
            self.report.warnings.append(f"replaced the table {self.names.live}")

    def _drop_shadow(self, connection: psycopg.Connection[TupleRow]) -> None:
        try:
            relation.drop(connection, self.names)
        except DatabaseError as error:  # must not hide why the load failed
            _log.warning("%s stays until the next load: %s", self.names.shadow, error)

    @contextmanager
    def _step(self, name: str, title: str) -> Iterator[None]:
        self.progress.begin(title)
        began = perf_counter()
        with self.report.timing(name):
            yield
        _log.info(
            "%s: %d rows, %d bytes, %.2f s",
            title,
            self.stored,
            self.report.bytes,
            perf_counter() - began,
        )

    def _copy_until_settled(
        self, connection: psycopg.Connection[TupleRow]
    ) -> tuple[list[Column], _Pass]:
        """Copy the source with the guessed types, and again if the rows proved a guess wrong."""
        verdict: Verdict | None = None
        identity: Identity | None = None
        while True:
            with ExitStack() as stack:
                again = "beginning again with wider columns"
                with self._step("infer", again if verdict else "reading the header"):
                    reading = stack.enter_context(read(self.uri, self.options, identity))
                    self.report.bytes = reading.source.bytes_read
                if verdict and _headers(verdict.columns) != _headers(reading.columns):
                    # All that shows it where a server tells no identity.
                    raise changed(reading.source.uri)
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
                stack.enter_context(closing(database.connect_another(self.url, f"lane {lane + 1}")))
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
                self._tell(reading, verdict, one_pass, rejects)
            if verdict.widened:
                rejects.discard()
                return one_pass
        if not one_pass.rows_read - rejects.count == one_pass.rows_encoded == copied:
            raise RowsLost(
                f"{one_pass.rows_read} rows read, {rejects.count} set aside, {copied} stored",
                hint="please report this file: the old table is as it was",
            )
        self.stored = copied
        self._warn(reading, one_pass)
        return one_pass

    def _rejects(self) -> Rejects:
        if "://" not in self.uri and Path(self.uri).resolve() == self.rejects.resolve():
            raise UsageError(
                f"the rejects file would replace the source: {self.rejects}",
                hint="name another place with --rejects",
            )
        if self.options.rejects is None:
            remove_leftovers(self.rejects)
        return Rejects(self.rejects, self.options.max_bad_rows)

    def _expression(
        self, connection: psycopg.Connection[TupleRow], columns: Sequence[tuple[str, str]]
    ) -> str | None:
        if self.options.full_text == "none":
            return None
        config, time_zone = fulltext.settings(connection)
        literals = fulltext.keeps_numbers(connection, config)
        return fulltext.expression(columns, self.options.full_text, config, time_zone, literals)

    def _tell(self, reading: Reading, verdict: Verdict, one_pass: _Pass, rejects: Rejects) -> None:
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
                f"rows left out above the header in row {reading.dialect.header_row}:"
                f" {reading.preamble}"
            )
        if one_pass.blank_lines:
            warnings.append(f"blank lines left out: {one_pass.blank_lines}")
        if self.options.encoding is None and reading.text.encoding != "utf-8":
            warnings.append(f"the encoding was found to be {reading.text.encoding}")
        if reading.header_may_be_data:
            warnings.append("the first row looks like data: --header-row 0 loads it as a row")
        if not (reading.source.end_is_certain or reading.packed):
            warnings.append(
                "the server does not tell where the file ends: had the connection been cut,"
                " nobody would know"
            )

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


def _headers(columns: Sequence[Column]) -> list[str]:
    return [column.header for column in columns]
