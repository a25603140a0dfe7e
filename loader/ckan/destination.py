"""Rows -> CKAN's API, where the database cannot be reached: a file of rows, then batches.

Nothing is sent before every row has proved the columns' types: until then the old rows stay. The
rows wait in a temporary file, a JSON array on each line, of about the size of the unpacked source.
Holds one block of rows, one batch, and for an upsert the ``keys``.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import IO

import numpy as np
import pyarrow as pa

from loader.ckan import batches
from loader.ckan.actions import Actions, Table
from loader.ckan.batches import Sent
from loader.ckan.settings import SendSettings
from loader.errors import KeyViolated, SchemaDiffers, SourceError, TableChanged, UsageError
from loader.report import TableChange, TableState
from loader.scan.keys import Keys, duplicate_warnings
from loader.scan.scan import Scan
from loader.steps import Steps
from loader.types import notation, registry
from loader.types.column import Column
from loader.types.compare import check_columns
from loader.types.precision import Limit, limit_of


@contextmanager
def opened(
    ckan: Actions, resource_id: str, settings: SendSettings, steps: Steps
) -> Iterator[Batching]:
    """Ask CKAN for the table as it is.

    Args:
        ckan: The CKAN that has the resource.
        resource_id: The resource.
        settings: How to load.
        steps: Are told of every step, and of every batch.

    Raises:
        CkanError: CKAN cannot be reached.
    """
    steps.report.via = "api"
    with _ours("made"):
        spool = tempfile.TemporaryFile(prefix="aircan-")  # noqa: SIM115  (closed below)
    with _closed(spool):
        yield Batching(ckan, resource_id, settings, steps, spool)


@contextmanager
def _closed(spool: IO[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):  # of a full disk: the write has raised it before
            spool.close()


@contextmanager
def _ours(doing: str) -> Iterator[None]:
    """Turn the temporary file's errors into ours."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"the temporary file of the rows cannot be {doing}: {error.strerror}",
            hint="set TMPDIR to a folder with more room",
            of_machine=True,
        ) from error


class Batching:
    """One load through the API; see ``loader.destination``."""

    def __init__(
        self,
        ckan: Actions,
        resource_id: str,
        settings: SendSettings,
        steps: Steps,
        spool: IO[bytes],
    ) -> None:
        self._ckan = ckan
        self._resource_id = resource_id
        self._settings = settings
        self._steps = steps
        self._spool = spool
        self._read = 0  # bytes of the spool
        self._overtaken = np.zeros(0, dtype=bool)  # its rows with the key of a later one
        self.table: Table | None = ckan.table(resource_id)  # when the load began
        self._on_replacing: Callable[[], None] = lambda: None
        self._warnings: list[str] = []
        self.existed = self.table is not None
        self.has_begun = False
        self._change = TableChange()
        self.settled = True  # CKAN indexes the rows as they come
        self.merges = self.existed and settings.mode != "replace"
        if self.merges and settings.mode == "upsert" and not settings.key:
            raise UsageError(
                "CKAN's API does not tell a table's unique key",
                hint="name its columns",
                option="key",
            )

    @property
    def table_state(self) -> TableState:
        """What has become of the table that readers see, should the load stop now."""
        return self._change.table

    def declared(self) -> Mapping[str, str]:
        """Return the table's types for a merge, else those of its Data Dictionary."""
        columns = self.table.columns if self.table else ()
        if self.merges:
            return {column.name: registry.verified_as(column.type) for column in columns}
        return {column.name: column.type_override for column in columns if column.type_override}

    def columns(self) -> Sequence[Column]:
        """Return the table's columns."""
        return self.table.columns if self.table else ()

    def check(self, columns: Sequence[Column]) -> None:
        """Refuse a file whose columns are not those of the table it is merged into."""
        if self.table and self.merges:
            check_columns(self.table.columns, columns)
            _refuse_nested(self.table)

    def replaced(self) -> Sequence[str]:
        """Return the columns of the table whose rows the new ones replace, if it has any."""
        if self.table is None or self.merges or not self.table.rows:
            return []
        return [column.name for column in self.table.columns]

    def store(self, scan: Scan) -> int:
        """Write a scan's rows into the file."""
        self._spool.seek(0)
        self._spool.truncate()
        limits = self._limits(scan.columns)
        parts = [i for i, column in enumerate(scan.columns) if column.name in self._settings.key]
        keys = Keys([scan.columns[i] for i in parts])
        stored = 0
        for verified in map(scan.verify, scan.blocks()):
            if verified is None:
                parts = []  # a column was widened: keys are compared in the next reading
            else:
                rows = verified.parse()
                for index, limit in limits:
                    limit.check(rows.cells[index])
                if parts:
                    keys.add(rows.ids, [rows.cells[i] for i in parts])
                stored += self._write(rows.cells)
        if parts:
            self._settle_keys(keys)
        return stored

    def _settle_keys(self, keys: Keys) -> None:
        """Find the rows with the key of a later one; only an upsert may have them."""
        self._overtaken = keys.overtaken()
        if self._settings.mode == "upsert":
            keys.check()
        elif self._overtaken.any():
            raise KeyViolated(
                f"the key ({', '.join(self._settings.key)}) is not unique in the file:"
                f" rows with that of a later row: {int(self._overtaken.sum())}",
                hint="name other columns, or correct the file",
                option="key",
            )

    def _limits(self, columns: Sequence[Column]) -> list[tuple[int, Limit]]:
        """Return the columns whose type in the table may change a value."""
        if not (self.table and self.merges):
            return []
        types = {column.name: column.type for column in self.table.columns}
        limits = [
            (i, limit_of(column.name, types[column.name])) for i, column in enumerate(columns)
        ]
        return [(i, limit) for i, limit in limits if limit]

    def _write(self, columns: Sequence[pa.StringArray]) -> int:
        rows = list(zip(*(column.to_pylist() for column in columns), strict=True))
        with _ours("written"):
            self._spool.writelines(map(_line, rows))
        return len(rows)

    def finish(self, scan: Scan) -> tuple[int, list[str]]:
        """Send the rows, in the order of the file."""
        sent = self._send(scan.columns)
        return sent.rows, sent.warnings + self._duplicate_warnings()

    def write(self, scan: Scan, rows: IO[bytes]) -> tuple[int, list[str]]:
        """Write the rows for ``send``, in place of ``finish``; return as it does."""
        with _ours("written"):  # what was still buffered
            self._spool.seek(0)
        rows.write(_line([column.name for column in scan.columns]))
        count = 0
        for row in self._rows():
            rows.write(_line(row))
            count += 1
        return count, self._duplicate_warnings()

    def go_on(self, table: Table | None, on_replacing: Callable[[], None]) -> None:
        """Take up a load that began in another process, before ``send``.

        Args:
            table: As it was when ``write`` was called there.
            on_replacing: Is called before anything is done to a table that is to be replaced.
        """
        self._on_replacing = on_replacing
        # Where rows are to be added, a table that somebody has made meanwhile gets them.
        if table is not None or self._settings.mode == "replace":
            self.table = table
            self.existed = table is not None
            self.merges = self.existed and self._settings.mode != "replace"

    def send(
        self, columns: Sequence[Mapping[str, object]], rows: Iterator[bytes]
    ) -> tuple[int, list[str]]:
        """Send what ``write`` wrote; return as ``finish`` does.

        Args:
            columns: Of the report.
            rows: The lines that were written.
        """
        named = [
            Column(
                str(column["id"]),
                str(column["type"]),
                header=str(column["label"]),
                notation=notation.parse(column.get("read_as")),
            )
            for column in columns
        ]
        self.check(named)
        next(rows, None)  # with the columns' names
        with _ours("written"):  # a batch may take longer than a connection to a bucket lasts
            self._spool.writelines(rows)
        sent = self._send(named)
        return sent.rows, sent.warnings

    def _duplicate_warnings(self) -> list[str]:
        return duplicate_warnings(int(self._overtaken.sum()))

    def _send(self, columns: Sequence[Column]) -> Sent:
        with self._steps.step("copy", "sending the rows to CKAN"):
            self._ckan.check_still_there(self._resource_id)
            self._steps.before_change()
            self.has_begun = True
            sent = self._send_all(columns)
        return replace(sent, warnings=sent.warnings + self._warnings)

    def _send_all(self, columns: Sequence[Column]) -> Sent:
        to = (self._ckan, self._resource_id, columns, self._rows(), self._settings.batches)
        with _ours("written"):  # what was still buffered
            self._steps.progress.expect(self._spool.seek(0, os.SEEK_END))
            self._spool.seek(0)
        if not self.merges:
            before = partial(self._ask, columns)
            return batches.replace(
                *to, self._settings.key, on_sent=self._advance, before=before, change=self._change
            )
        check = self._check_unchanged
        if self._settings.mode == "append":
            return batches.append(*to, on_sent=self._advance, check=check, change=self._change)
        return batches.upsert(
            *to, self._settings.key, on_sent=self._advance, check=check, change=self._change
        )

    def _check_unchanged(self, table: Table) -> None:
        """Refuse a table whose columns are not those that the rows were verified for."""
        old = self.table.columns if self.table else ()
        before = {column.name: column.type for column in old}
        now = {column.name: column.type for column in table.columns}
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if changed:
            raise SchemaDiffers(
                f"columns of the table have changed during the load: {', '.join(changed)}",
                hint="load again",
            )

    def _ask(self, columns: Sequence[Column], old: Table | None) -> None:
        self._look_at_others(old)
        if old is not None:
            self._steps.ask(old.columns, columns)
        self._on_replacing()

    def _look_at_others(self, old: Table | None) -> None:
        """Compare how many rows the table had when the load began; the rows are still there."""
        if old is None:
            if self.table is not None:
                self._report_dropped()
            return
        came = old.rows - (self.table.rows if self.table else 0)
        if came == 0:
            return
        done = f"{abs(came)} rows {'inserted' if came > 0 else 'deleted'}"
        if self._settings.on_concurrent_writes == "warn":
            self._warnings.append(f"others changed the old table during the load: {done}")
            return
        kept = self._settings.on_concurrent_writes == "keep"
        raise TableChanged(
            f"others changed {self._resource_id} during the load: {done}"
            + (", which CKAN's API cannot keep" if kept else ""),
            hint="these rows are in the old table, which the next load replaces",
        )

    def _report_dropped(self) -> None:
        if self._settings.on_concurrent_writes == "refuse":
            raise TableChanged(
                f"others changed {self._resource_id} during the load: the table was dropped",
                hint="see who has dropped it; load again if it is to be there",
            )
        self._warnings.append("others dropped the old table during the load")

    def _rows(self) -> Iterator[Sequence[str | None]]:
        for line, is_overtaken in zip_longest(self._spool, self._overtaken):
            self._read += len(line)
            if not is_overtaken:
                yield json.loads(line)

    def _advance(self, rows: int) -> None:
        self._steps.progress.advance(self._read, rows)

    def settle(self) -> list[str]:
        """Do nothing: all is done."""
        return []

    def withdraw(self) -> bool:
        """Have CKAN drop the table of a resource that is gone."""
        dropped = self._ckan.drop_table(self._resource_id)
        if dropped:
            self._change.table = "dropped"
        return dropped


def _line(row: Sequence[str | None]) -> bytes:
    return json.dumps(row).encode() + b"\n"


def _refuse_nested(table: Table) -> None:
    if nested := [column.name for column in table.columns if column.type == "nested"]:
        raise SchemaDiffers(
            f"{nested[0]!r} is of CKAN's own type json: its API would store a text in it",
            hint="name the DataStore's database, or let the file replace the table",
            option="mode",
        )
