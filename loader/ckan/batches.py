"""Rows -> the DataStore through CKAN's API, in batches: for those who cannot reach its database.

In: a table's columns, rows of text in file order. Out: the table filled, or an error; and what has
become of the table, at every moment. Holds the first batch and one more, and one as the JSON that
is sent.

A call whose answer is lost may have been carried out. So a batch of an ``insert`` is not sent
again before the rows in the table were counted: all of a batch is in, or nothing of it.

Every value goes as text: JSON would lose the digits of 15.30, and Postgres reads the text.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from loader.ckan import definition
from loader.ckan.actions import Actions, Table
from loader.ckan.settings import BatchSettings
from loader.errors import (
    AircanError,
    Cancelled,
    CkanNotFound,
    CkanUnreachable,
    RowsLost,
)
from loader.net.retry import Attempts, Backoff
from loader.report import TableChange
from loader.types.column import Column

_log = logging.getLogger(__name__)

Record = dict[str, "str | None"]

_POLL_S = 0.5
_LAST_WAIT_S = 10.0  # for a batch that is under way when all is to be taken back
_IDS = 5000  # rows taken back by one call
_ESCAPED = 6  # bytes of JSON for a character outside of ASCII
_NULL_BYTES = 4


@dataclass(frozen=True)
class Sent:
    """What was sent.

    Attributes:
        rows: How many.
        warnings: What the table has lost by it.
    """

    rows: int
    warnings: list[str]


def _ignore_count(_: int, /) -> None:
    """Take the number of rows sent so far."""


def _ignore_table(_: Table | None, /) -> None:
    """Take the table that is to be replaced, if there is one."""


def replace(  # noqa: PLR0913, PLR0917  (one job, and how to do it)
    ckan: Actions,
    resource_id: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[str | None]],
    settings: BatchSettings = BatchSettings(),
    keys: Sequence[str] = (),
    on_sent: Callable[[int], None] = _ignore_count,
    before: Callable[[Table | None], None] = _ignore_table,
    change: TableChange | None = None,
) -> Sent:
    """Replace a resource's rows; its table is made if there is none.

    CKAN does not show the table from the first row on, until it is registered.

    Args:
        ckan: With a token that may edit the resource.
        resource_id: The resource.
        columns: Of the file, with their labels.
        rows: Their cells, as Postgres reads them; None is NULL.
        settings: How much one call takes.
        keys: The columns of a unique key that is asked for.
        on_sent: Is told how many rows are in.
        before: Is given the old table, or None if there is none, before anything is done.
        change: Is kept true of the table, however this ends.

    Returns:
        How many rows are in the table now.

    Raises:
        AircanError: As CKAN or ``rows`` raise it.
        RowsLost: Others wrote into the table meanwhile.
        Cancelled: Ctrl-C.
    """
    batches = _batches([column.name for column in columns], rows, settings)
    first = next(batches, [])  # a source that fails at once costs no row
    old = ckan.table(resource_id)
    altered = definition.change(resource_id, columns, old) if old else None
    warnings = altered.warnings if altered else []
    change = change or TableChange()
    before(old)
    if old is not None:
        _clear(ckan, resource_id, change)
    inserter = _Inserter(ckan, resource_id, settings)
    with _or_nothing(inserter, old, change):
        if altered is None:
            definition.create(ckan, resource_id, columns)
        else:
            definition.alter(ckan, resource_id, altered)
        if keys:
            warnings = warnings + definition.set_key(ckan, resource_id, keys)
        inserter.send_all(chain([first], batches), on_sent)
        inserter.check()
        change.table = "replaced"
    return Sent(inserter.sent, warnings)


def append(  # noqa: D417, PLR0913, PLR0917
    ckan: Actions,
    resource_id: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[str | None]],
    settings: BatchSettings = BatchSettings(),
    on_sent: Callable[[int], None] = _ignore_count,
    check: Callable[[Table], None] = _ignore_table,
    change: TableChange | None = None,
) -> Sent:
    """Add rows to a resource's table; if that fails, they are taken back.

    Args:
        ckan: As for ``replace``, and so all others.
        check: Is given the table before the first row and after the last one; what it raises
            stops the load.

    Returns:
        How many rows were added.

    Raises:
        AircanError: Its hint names the rows that could not be taken back.
        CkanNotFound: There is no table.
    """
    table = _existing(ckan, resource_id)
    check(table)
    base = table.rows
    newest = newest_id(ckan, resource_id)
    inserter = _Inserter(ckan, resource_id, settings, base)
    change = change or TableChange()
    with _or_taken_back(inserter, newest, change):
        batches = _batches([column.name for column in columns], rows, settings)
        inserter.send_all(batches, on_sent)
        warnings = inserter.check_all_added()
        check(_existing(ckan, resource_id))
        change.table = "merged"
    return Sent(inserter.sent, warnings)


def upsert(  # noqa: D417, PLR0913, PLR0917
    ckan: Actions,
    resource_id: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[str | None]],
    settings: BatchSettings,
    keys: Sequence[str],
    on_sent: Callable[[int], None] = _ignore_count,
    check: Callable[[Table], None] = _ignore_table,
    change: TableChange | None = None,
) -> Sent:
    """Add rows to a resource's table, or change those that have their key.

    Of rows with one key the last one wins; a row without one is added each time. What is done
    stays when this fails: loading the file again does the rest.

    Args:
        ckan: As for ``replace``, and so all others but the key.
        keys: The columns of the table's unique key, which is made where there is none.
        check: As for ``append``.

    Returns:
        How many rows were sent.

    Raises:
        AircanError: Its hint says how many rows are in, if any are.
        UsageError: The table has another unique key.
        KeyViolated: Rows of the table have one key.
        CkanNotFound: There is no table.
    """
    check(_existing(ckan, resource_id))
    definition.ensure_key(ckan, resource_id, keys)
    methods = _upsert_methods(ckan)
    change = change or TableChange()
    sent = 0
    try:
        for batch in _batches([column.name for column in columns], rows, settings):
            for method in methods:
                _put(ckan, _write(resource_id, method=method, records=batch), change)
            sent += len(batch)
            on_sent(sent)
        change.table = "merged"
        _count(ckan, resource_id)
        check(_existing(ckan, resource_id))
    except AircanError as error:
        error.hint = _joined(error.hint, _left(sent))
        raise
    except KeyboardInterrupt as interrupt:
        raise Cancelled("the load was stopped", hint=_left(sent) or None) from interrupt
    return Sent(sent, [])


def _put(ckan: Actions, batch: Mapping[str, Any], change: TableChange) -> None:
    """Upsert one batch: all of it is in then, or nothing."""
    before = change.table
    change.table = "partly" if before == "partly" else "unknown"
    try:
        ckan.call("datastore_upsert", batch)
    except CkanUnreachable:
        raise  # one of its tries may have got through
    except AircanError:
        change.table = before
        raise
    change.table = "partly"


def _left(sent: int) -> str:
    return f"the first {sent} rows are in and cannot be taken back: load again" if sent else ""


def _batches(
    names: Sequence[str], rows: Iterable[Sequence[str | None]], settings: BatchSettings
) -> Iterator[list[Record]]:
    names_bytes = sum(len(json.dumps(name)) + len(': "", ') for name in names)
    batch: list[Record] = []
    batch_bytes = 0
    for row in rows:
        row_bytes = names_bytes + sum(map(_bytes, row))
        if batch and (len(batch) == settings.rows or batch_bytes + row_bytes > settings.bytes):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(dict(zip(names, row, strict=True)))
        batch_bytes += row_bytes
    if batch:
        yield batch


def _bytes(cell: str | None) -> int:
    if cell is None:
        return _NULL_BYTES
    return len(cell) if cell.isascii() else len(cell) * _ESCAPED


class _Inserter:
    """Adds batches to a table that has ``base`` rows, and each of them once."""

    def __init__(
        self, ckan: Actions, resource_id: str, settings: BatchSettings, base: int = 0
    ) -> None:
        self.ckan = ckan
        self.resource_id = resource_id
        self.base = base
        self.sent = 0  # rows that are in
        self.under_way = 0  # rows of which nobody knows yet
        self._settings = settings
        self._doubted = False

    def send_all(self, batches: Iterable[list[Record]], on_sent: Callable[[int], None]) -> None:
        for batch in batches:
            self._send(batch)
            on_sent(self.sent)
        _count(self.ckan, self.resource_id)

    def _send(self, batch: list[Record]) -> None:
        attempts, in_doubt = self.ckan.settings.attempts(), False
        self.under_way = len(batch)
        while True:
            try:
                self._insert(batch)
            except CkanUnreachable as error:
                in_doubt = in_doubt or error.in_doubt
                if self._is_in(error):
                    break
                log = partial(_log.warning, "%s; again in %.1f s", error)
                if not attempts.wait(error.wait_s, log):
                    self.under_way = len(batch) if in_doubt else 0
                    raise
            except AircanError:
                self.under_way = 0
                raise
            else:
                break
        self.sent += len(batch)
        self.under_way = 0

    def _insert(self, batch: list[Record]) -> None:
        # Not datastore_create: it would show the table again, and look at its indexes every time.
        self.ckan.call(
            "datastore_upsert",
            _write(self.resource_id, method="insert", records=batch),
            repeat=False,
        )

    def _is_in(self, error: CkanUnreachable) -> bool:
        """Tell whether the batch under way is in, though its answer was lost."""
        self._doubted = True
        rows = self.settle(self._settings.settle_s if error.in_doubt else 0.0)
        if rows == self.base + self.sent + self.under_way:
            return True
        if rows != self.base + self.sent:
            raise self._lost(rows)
        return False

    def settle(self, at_most_s: float) -> int:
        """Wait for the batch under way to come in, or for the time to be over; count the rows."""
        attempts = Attempts(Backoff.steady(_POLL_S), limit_s=at_most_s)
        while True:
            rows = _existing(self.ckan, self.resource_id).rows
            if rows != self.base + self.sent or not self.under_way or not attempts.wait():
                return rows

    def check(self) -> None:
        """Count what is in the table.

        Raises:
            RowsLost: It is not what was sent.
        """
        rows = _existing(self.ckan, self.resource_id).rows
        if rows != self.base + self.sent:
            raise self._lost(rows)

    def check_all_added(self) -> list[str]:
        """Count, where others may add rows too; return warnings.

        Raises:
            RowsLost: A batch may be in twice, or not at all.
        """
        try:
            self.check()
        except RowsLost as error:
            if self._doubted:
                raise
            return [error.message]
        return []

    def _lost(self, rows: int) -> RowsLost:
        return RowsLost(
            f"{self.sent} rows sent to a table of {self.base}, which has {rows} now",
            hint="somebody else changed the table during the load, or CKAN was late: load again",
        )


@contextmanager
def _or_nothing(inserter: _Inserter, old: Table | None, change: TableChange) -> Iterator[None]:
    """If this fails, leave an empty table: it keeps the Data Dictionary."""
    gone = "the old rows are gone: " if old and old.rows else ""
    change.table = "partly"

    def empty() -> str:
        change.table = "partly"
        is_empty, said = _empty(inserter)
        if is_empty and old is None:  # readers have no table, before and after
            change.table = "untouched"
        return gone + said

    try:
        yield
    except AircanError as error:
        error.hint = _joined(error.hint, empty())
        raise
    except KeyboardInterrupt as interrupt:
        raise Cancelled("the load was stopped", hint=empty()) from interrupt
    except BaseException:
        _log.warning("%s: %s", inserter.resource_id, empty())
        raise


def _empty(inserter: _Inserter) -> tuple[bool, str]:
    """Delete what was sent; return whether that was done, and a sentence on what is there."""
    ckan, resource_id = inserter.ckan, inserter.resource_id
    try:
        ckan.withdraw(resource_id)
        if inserter.sent or inserter.under_way:
            inserter.settle(_LAST_WAIT_S)
            _delete_rows(ckan, resource_id, {})
    except AircanError as error:
        return False, (
            f"a part of the new ones may be there, because of another error ({error}):"
            " load again, or delete the table"
        )
    return True, "the table is empty, and CKAN does not show it"


@contextmanager
def _or_taken_back(inserter: _Inserter, newest: int, change: TableChange) -> Iterator[None]:
    """If this fails, take back the rows above the one that was the newest."""
    change.table = "partly"

    def take_back() -> str:
        change.table = "partly" if inserter.sent else "unknown"  # a batch may be under way
        left = _take_back(inserter, newest)
        if not left:
            change.table = "untouched"
        return left

    try:
        yield
    except AircanError as error:
        error.hint = _joined(error.hint, take_back())
        raise
    except KeyboardInterrupt as interrupt:
        raise Cancelled("the load was stopped", hint=take_back() or None) from interrupt
    except BaseException:
        _log.warning("%s: %s", inserter.resource_id, take_back() or "the rows were taken back")
        raise


def _take_back(inserter: _Inserter, newest: int) -> str:
    """Delete the rows that were added; return which are left, or nothing."""
    if not (inserter.sent or inserter.under_way):
        return ""
    ckan, resource_id = inserter.ckan, inserter.resource_id
    stuck = f"rows with an _id above {newest} were added and are not taken back"
    try:
        added = inserter.settle(_LAST_WAIT_S) - inserter.base
        if added not in (inserter.sent, inserter.sent + inserter.under_way):
            return f"{stuck}: somebody else changed the table too"
        # Not one more than were added: somebody else may add rows meanwhile.
        while ids := [i for i in _newest_ids(ckan, resource_id, min(added, _IDS)) if i > newest]:
            _delete_rows(ckan, resource_id, {"_id": ids})
            added -= len(ids)
        _count(ckan, resource_id)
    except AircanError as error:
        return f"{stuck}, because of another error ({error})"
    return ""


def _clear(ckan: Actions, resource_id: str, change: TableChange) -> None:
    """Delete the rows. CKAN is told first: if it refuses that, no row is lost."""
    before = ckan.resource(resource_id)
    change.table = "unknown"  # an answer may be lost, and the rows with it
    try:
        ckan.withdraw(resource_id)
        _delete_rows(ckan, resource_id, {})
    except CkanUnreachable:
        raise
    except AircanError as error:
        hidden = _show_again(ckan, before)
        change.table = "partly" if hidden else "untouched"
        error.hint = _joined(error.hint, hidden)
        raise
    except KeyboardInterrupt as interrupt:
        raise Cancelled("the load was stopped") from interrupt


def _show_again(ckan: Actions, resource: Mapping[str, Any]) -> str:
    """Show a table again whose rows are still there; return what is wrong, or nothing."""
    state = {name: resource.get(name) for name in ("id", "datastore_active", "hash")}
    try:
        if ckan.resource(str(resource["id"])) != resource:
            ckan.call("resource_patch", state)
    except AircanError as error:
        return f"the old rows are there, but CKAN may not show them ({error}): load again"
    return ""


def _delete_rows(ckan: Actions, resource_id: str, filters: Mapping[str, Any]) -> None:
    ckan.call("datastore_records_delete", _write(resource_id, filters=filters))


def _write(resource_id: str, **data: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the parameters of a change after which the rows are not to be counted."""
    return {"resource_id": resource_id, "force": True, "calculate_record_count": False, **data}


def _count(ckan: Actions, resource_id: str) -> None:
    """Let CKAN count the rows and analyse the table.

    By an insert of no rows: with the last batch, CKAN would keep the number that a search before
    it has left there.
    """
    data = {"method": "insert", "records": [], "calculate_record_count": True}
    ckan.call("datastore_upsert", {"resource_id": resource_id, "force": True, **data})


def _existing(ckan: Actions, resource_id: str) -> Table:
    table = ckan.table(resource_id)
    if table is None:
        raise CkanNotFound(
            f"{resource_id} has no table in the DataStore", hint="load it with replace first"
        )
    return table


def newest_id(ckan: Actions, resource_id: str) -> int:
    """Return the greatest ``_id`` of a resource's table, or 0."""
    try:
        return next(iter(_newest_ids(ckan, resource_id, 1)), 0)
    except CkanNotFound:
        return 0


def _newest_ids(ckan: Actions, resource_id: str, limit: int) -> list[int]:
    return ckan.ask(
        "datastore_search",
        {
            "resource_id": resource_id,
            "fields": ["_id"],
            "sort": "_id desc",
            "limit": limit,
            "include_total": False,
        },
        lambda found: [int(record["_id"]) for record in found["records"]],
    )


def _upsert_methods(ckan: Actions) -> tuple[str, ...]:
    """Return what is to be done with each batch.

    The upsert of CKAN 2.12 leaves the old values in ``_full_text``, its update does not.
    """
    version = ckan.version()
    return ("upsert",) if version and version < (2, 12) else ("upsert", "update")


def _joined(hint: str | None, more: str) -> str | None:
    return "; ".join(filter(None, (hint, more))) or None
