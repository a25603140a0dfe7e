"""Shadow table -> live table, in one short transaction.

Readers see the old table until the commit and the new one after it. The exclusive lock is
requested with a timeout and given up between tries, so that no reader queues behind a load for
longer than ``locks.READERS_WAIT_MS``. What portals have put on the table is carried over to the new
one (``carry_over``), and so are the views over it (``views``). Under the lock only the catalog is
changed, and at most ``concurrent_rows.MOST_UNDER_LOCK`` rows. Holds one line for each thing that is
carried over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import (
    carry_over,
    changes,
    commit,
    concurrent_rows,
    concurrent_writes,
    dictionary,
    indexes,
    live_table,
    locks,
    row_count,
    views,
)
from loader.copy.database import ours
from loader.copy.relation import SCHEMA, Names, Relation, find_oid, qualified
from loader.copy.shadow import allow_autovacuum
from loader.errors import DatabaseUnreachable, TableBusy
from loader.report import TableChange

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Swapped:
    """What a swap did.

    Attributes:
        carried: How many rows of others are in the new table, beside those of the load.
        warnings: What was on the old table, or in it, and is not on the new one.
    """

    carried: int
    warnings: list[str]


def swap(
    relation: Relation,
    last_id: int,
    rows: int | None = None,
    others: changes.Others | None = None,
    change: TableChange | None = None,
) -> Swapped:
    """Put the shadow in the live table's place.

    Args:
        relation: Its connection is in autocommit mode; it holds the resource's lock; the shadow has
            its keys and indexes.
        last_id: The highest ``_id``; the sequence goes on after it.
        rows: How many rows the shadow has, for CKAN's cache of row counts; None lets CKAN count.
        others: What is to be done about those who wrote into the live table during the load; None
            to let their rows go with it.
        change: Is kept true of the live table, however the swap ends.

    Raises:
        TableBusy: Others kept the live table locked through every try.
        DatabaseUnreachable: The connection broke: whether before or after the swap, is unknown.
        NotADataStoreTable: As ``live_table.check``.
        DependentObjects: As ``live_table.check``, or a view cannot be made over the new columns.
        KeyViolated, RowRefused: A key or a constraint that came during the load is not kept.
        TableChanged: Others wrote into the live table, and that is not to be, or their rows do not
            fit the new one.
    """
    views.check(relation)
    warnings = []
    deadline = locks.Deadline(relation.connection, locks.quoted(relation.tables))
    left_out: frozenset[str] = frozenset()
    state = _State(last_id, rows, others)
    change = change or TableChange()
    while True:
        try:
            with (
                commit.known(change),
                ours("swapping the tables"),
                relation.connection.transaction(),
            ):
                lost, carried = _swap(relation, state, left_out)
                change.table = "unknown"
            change.table = "replaced"
        except _Behind:
            state = locks.retry(
                relation.connection,
                "keeping the rows of others",
                relation.tables,
                partial(_catch_up, relation, state),
                deadline,
            )
            # A session that inserts as many again before each try would prevent the swap for ever.
            state = replace(state, blocks_writers=True)
        except _Outdated:
            deadline.check(_restless(relation.names))
            # Built while no lock is held; what cannot be built is a warning, and not tried again.
            warnings += indexes.build(relation)
            left_out = locks.retry(
                relation.connection,
                "looking at the live table",
                relation.tables,
                partial(indexes.missing, relation),
                deadline,
            )
            state = replace(state, blocks_writers=False)
        except TableBusy as error:
            deadline.wait(error)
            # Rows that come while the swap waits for a reader are copied once, not in every try.
            state = replace(state, blocks_writers=False)
        except DatabaseUnreachable as error:
            if change.table != "unknown":
                raise
            raise _unknown(error) from error
        else:
            break
    warnings = list(dict.fromkeys(warnings + lost))
    for warning in warnings:
        _log.warning("%s: %s", relation.name, warning)
    return Swapped(carried, warnings)


def _unknown(error: DatabaseUnreachable) -> DatabaseUnreachable:
    return DatabaseUnreachable(
        error.message,
        hint="the server may have swapped the tables before the connection broke:"
        " look at the table, then load again",
    )


def _restless(names: Names) -> TableBusy:
    return TableBusy(
        f"swapping the tables: others keep on changing {names.live}, its indexes or its views",
        hint="load again later",
    )


class _Outdated(Exception):
    """The live table has changed since the shadow was prepared: the try is given up."""


class _Behind(Exception):
    """More rows have come than may be copied, or looked for, while readers wait: given up."""


@dataclass(frozen=True)
class _State:
    """How far the shadow is.

    Attributes:
        last_id: Its highest ``_id``.
        rows: How many rows it has, if that is known.
        others: As ``swap`` takes it; the rows carried over already are before it.
        carried: How many rows of others are in it.
        blocks_writers: Whether the next try blocks writers while it copies the last rows, so that
            no more can come before the swap.
    """

    last_id: int
    rows: int | None
    others: changes.Others | None
    carried: int = 0
    blocks_writers: bool = False

    def with_more(self, before: changes.Before, carried: int) -> _State:
        """Return the state after more rows have been carried over."""
        assert self.others is not None  # noqa: S101  # without, nothing is carried over
        return replace(
            self,
            last_id=self.last_id + carried,
            rows=None if self.rows is None else self.rows + carried,
            others=replace(self.others, before=before),
            carried=self.carried + carried,
        )


def _catch_up(relation: Relation, state: _State) -> _State:
    assert state.others is not None  # noqa: S101  # without, no try is _Behind
    return state.with_more(*concurrent_rows.catch_up(relation, state.others.before, state.last_id))


def _settle_others(relation: Relation, state: _State) -> tuple[_State, list[str]]:
    """Carry over or refuse what others have written; return warnings too.

    Args:
        relation: Its connection holds the locks, if the live table is still there.
        state: How far the shadow is.
    """
    others = state.others
    if others is None:
        return state, []
    found = concurrent_writes.notice(relation, others.before)
    if others.policy == "refuse" and found:
        raise found.refused(relation.name)
    if others.policy == "keep":
        # If writers have been blocked since, the whole table has been read already.
        may_hide = found.may_hide and not state.blocks_writers
        if found.inserted > concurrent_rows.MOST_UNDER_LOCK or may_hide:
            raise _Behind
        if found.inserted:
            carried = concurrent_rows.carry_over(relation, found.free, state.last_id)
            state = state.with_more(others.before, carried)
    return state, found.warnings(state.carried)


def _swap(
    relation: Relation,
    state: _State,
    left_out: frozenset[str],
) -> tuple[list[str], int]:
    lost: list[str] = []
    finish: list[str] = []
    locks.let_vacuums_yield(relation.connection)
    allow_autovacuum(relation)
    live = relation.oid()
    if live is not None:
        live_table.check(relation)
        if state.blocks_writers:
            with _outdated_if_dropped():
                state = _catch_up(relation, state)
        found = _lock_all(relation)
        if relation.oid() != live:
            raise _Outdated
        live_table.check(relation)
        if indexes.missing(relation) - left_out:
            raise _Outdated
        state, warnings = _settle_others(relation, state)
        lost = carry_over.left_behind(relation) + warnings
        finish = carry_over.finishing(relation)
        _replace(relation, live, found)
    else:
        live_table.check(relation)  # it may have been renamed
        state, lost = _settle_others(relation, state)
        locks.limit(relation.connection, locks.READERS_WAIT_MS)
        _rename(relation.connection, "TABLE", relation.names.shadow, relation.name)
    for kind, old, new in (
        ("SEQUENCE", relation.names.shadow_sequence, relation.names.sequence),
        ("INDEX", relation.names.shadow_primary_key, relation.names.primary_key),
        ("INDEX IF EXISTS", relation.names.shadow_full_text_index, relation.names.full_text_index),
    ):
        _rename(relation.connection, kind, old, new)
    if live is None:
        finish = indexes.first_key(relation)
    finish += carry_over.not_null_names(relation)
    for statement in finish:
        relation.connection.execute(statement)
    relation.connection.execute(
        "SELECT setval(%s::regclass, %s, %s)",
        (
            qualified(relation.names.sequence).as_string(None),
            max(state.last_id, 1),
            state.last_id > 0,
        ),
    )
    if state.rows is None:
        row_count.forget(relation.connection, relation.name)
    else:
        row_count.write(relation, state.rows)
    return lost, state.carried


def _replace(relation: Relation, live: int, found: list[views.View]) -> None:
    """Give the names to the shadow and to new views, then drop the old ones.

    What the old ones carry is copied while both are there.
    """
    for view in found:
        _rename(
            relation.connection,
            "VIEW",
            view.name,
            f"{relation.names.shadow}_{view.oid}",
            view.schema,
        )
    _rename(relation.connection, "TABLE", relation.name, f"{relation.names.shadow}_old")
    _rename(relation.connection, "TABLE", relation.names.shadow, relation.name)
    read_as = dictionary.readings(relation.connection, relation.name)
    _carry(relation.connection, live, relation.name)
    dictionary.write_readings(relation.connection, relation.name, read_as)
    sequence = find_oid(relation.connection, relation.names.sequence)
    if sequence is not None:
        _carry(relation.connection, sequence, relation.names.shadow_sequence)
    for view in found:
        views.create(relation, view)
        _carry(relation.connection, view.oid, view.name, view.schema)
    for view in reversed(found):
        old = sql.Identifier(view.schema, f"{relation.names.shadow}_{view.oid}")
        relation.connection.execute(sql.SQL("DROP VIEW {}").format(old))
    relation.connection.execute(
        sql.SQL("DROP TABLE {}").format(qualified(f"{relation.names.shadow}_old"))
    )


def _carry(
    connection: psycopg.Connection[TupleRow], old: int, new: str, schema: str = SCHEMA
) -> None:
    oid = find_oid(connection, new, schema)
    assert oid is not None  # noqa: S101  # it was made or renamed in this transaction
    carry_over.properties(connection, old, oid)


def _rename(
    connection: psycopg.Connection[TupleRow], kind: str, old: str, new: str, schema: str = SCHEMA
) -> None:
    connection.execute(
        sql.SQL("ALTER {} {} RENAME TO {}").format(
            sql.SQL(kind), sql.Identifier(schema, old), sql.Identifier(new)
        )
    )


@contextmanager
def _outdated_if_dropped() -> Iterator[None]:
    """Give the try up if the table, or a view, is dropped while its lock is waited for."""
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        raise _Outdated from error


def _lock_all(relation: Relation) -> list[views.View]:
    """Lock the views and the table, in the order in which a query of a view locks them."""
    live = relation.live
    with _outdated_if_dropped():
        locks.block_vacuums(relation.connection, live)
        found = views.find(relation)
        end = time.monotonic() + locks.READERS_WAIT_MS / 1000
        for view in reversed(found):
            locks.limit(relation.connection, (end - time.monotonic()) * 1000)
            # LOCK TABLE would also lock every table that the view reads. Setting the owner that
            # the view has already changes nothing and locks the view alone.
            relation.connection.execute(
                sql.SQL("ALTER VIEW {} OWNER TO {}").format(view.identifier, sql.SQL(view.owner))
            )
        locks.limit(relation.connection, (end - time.monotonic()) * 1000)
        relation.connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(live))
    # After the live table: a pg_dump, which locks all tables, that already holds the live one and
    # waits for the shadow would be in a deadlock with this load.
    locks.limit(relation.connection, (end - time.monotonic()) * 1000)
    shadow = relation.shadow
    relation.connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(shadow))
    # The statements that follow may wait too: for the lock of a sequence, or of CKAN's row count.
    locks.limit(relation.connection, locks.READERS_WAIT_MS)
    if not views.are_still(relation, found):
        raise _Outdated
    return found
