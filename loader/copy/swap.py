"""Shadow table -> live table, in one short transaction.

Readers see the old table until the commit and the new one after it. The exclusive lock is asked
for with a timeout and given up in between, so that nobody queues behind a load for longer than
``locks.READERS_WAIT_MS``. What portals keep on a table goes over to the new one (``keep``), and so
do the views over it (``views``). Under the lock only the catalog is worked on; holds one line for
each thing that goes over.
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

from loader.copy import keep, locks, meanwhile, views
from loader.copy.database import ours
from loader.copy.relation import SCHEMA, Names, Relation, find_oid, qualified
from loader.copy.shadow import let_autovacuum_come
from loader.errors import DatabaseUnreachable, NotADataStoreTable, TableBusy

_log = logging.getLogger(__name__)


def check_live(relation: Relation, *, replaced: bool = True) -> None:
    """Refuse early what a load must not touch.

    Args:
        relation: Its connection is in autocommit mode; the table need not be there.
        replaced: Whether the table is to be replaced, and not only to get rows.

    Raises:
        NotADataStoreTable: The name belongs to a view, or to a table without ``_id`` and
            ``_full_text``: it is somebody else's. So may be a name that goes with it.
        DependentObjects: Something depends on the live table that no swap can bring back.
    """
    with ours("looking at the live table"):
        oid = relation.oid()
        if replaced or oid is None:
            _refuse_taken(relation, oid)
        if oid is None:
            return
        row = relation.connection.execute(
            "SELECT relkind = 'r' AND 2 = (SELECT count(*) FROM pg_attribute WHERE attrelid = %s"
            " AND NOT attisdropped AND attname IN ('_id', '_full_text'))"
            " FROM pg_class WHERE oid = %s",
            (oid, oid),
        ).fetchone()
        if not (row and row[0]):
            raise NotADataStoreTable(
                f"{relation.name} exists in this database and is not a DataStore table",
                hint="choose another name with --resource-id, or rename what is there",
            )
        if replaced:
            views.refuse(relation)


def _refuse_taken(relation: Relation, oid: int | None) -> None:
    """Refuse a table whose sequence or index cannot have its name, before hours of work.

    One that is renamed keeps both.
    """
    wanted = [relation.names.sequence, relation.names.primary_key, relation.names.full_text_index]
    taken = relation.connection.execute(
        "SELECT c.relname FROM pg_class c WHERE relnamespace = %s::regnamespace"
        " AND relname = ANY(%s) AND NOT EXISTS ("
        " SELECT FROM pg_index WHERE indexrelid = c.oid AND indrelid = %s) AND NOT EXISTS ("
        " SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid"
        " AND refclassid = 'pg_class'::regclass AND refobjid = %s) ORDER BY 1",
        (SCHEMA, wanted, oid or 0, oid or 0),
    ).fetchall()
    if taken:
        raise NotADataStoreTable(
            f"others have names that belong to the table {relation.name}:"
            f" {', '.join(row[0] for row in taken)}",
            hint="was it renamed? rename what went with it, too: ALTER SEQUENCE and ALTER INDEX ..."
            " RENAME TO ...",
        )


@dataclass(frozen=True)
class Swapped:
    """What a swap did.

    Attributes:
        kept: How many rows of others are in the new table, beside those of the load.
        warnings: What was on the old table, or in it, and is not on the new one.
    """

    kept: int
    warnings: list[str]


def swap(
    relation: Relation,
    last_id: int,
    rows: int | None = None,
    others: meanwhile.Others | None = None,
) -> Swapped:
    """Put the shadow in the live table's place.

    Args:
        relation: Its connection is in autocommit mode; it holds the resource's lock; the shadow has
            its keys and indexes.
        last_id: The highest ``_id``; the sequence goes on after it.
        rows: How many rows the shadow has, for CKAN's cache of row counts; None lets CKAN count.
        others: What is to be done about those who wrote into the live table during the load; None
            to let their rows go with it.

    Raises:
        TableBusy: Others kept the live table locked through every try.
        DatabaseUnreachable: The connection broke: whether before or after the swap, is unknown.
        NotADataStoreTable: As ``check_live``.
        DependentObjects: As ``check_live``, or a view cannot be made over the new columns.
        KeyViolated, RowRefused: A key or a constraint that came during the load is not kept.
        TableChanged: Others wrote into the live table, and that is not to be, or their rows do not
            fit the new one.
    """
    views.check(relation)
    warnings = []
    patience = locks.Patience(relation.connection, locks.quoted(relation.tables))
    left_out: frozenset[str] = frozenset()
    state = _State(last_id, rows, others)
    while True:
        try:
            with ours("swapping the tables"), relation.connection.transaction():
                lost, kept = _swap(relation, state, left_out)
        except _Behind:
            state = locks.patiently(
                relation.connection,
                "keeping the rows of others",
                relation.tables,
                partial(_catch_up, relation, state),
                patience,
            )
            # Whoever inserts that many again until the next try would keep this going for ever.
            state = replace(state, keeps_writers_out=True)
        except _Outdated:
            patience.check(_restless(relation.names))
            # Built while nobody has to wait; what cannot be built is told, and not tried again.
            warnings += keep.build_indexes(relation)
            left_out = locks.patiently(
                relation.connection,
                "looking at the live table",
                relation.tables,
                partial(keep.missing, relation),
                patience,
            )
            state = replace(state, keeps_writers_out=False)
        except TableBusy as error:
            patience.wait(error)
            # The rows that come while a reader is waited for are copied once, not in every try.
            state = replace(state, keeps_writers_out=False)
        except DatabaseUnreachable as error:
            raise _unknown(error) from error
        else:
            break
    warnings = list(dict.fromkeys(warnings + lost))
    for warning in warnings:
        _log.warning("%s: %s", relation.name, warning)
    return Swapped(kept, warnings)


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
    """The live table is not what the shadow was made for: the try is given up."""


class _Behind(Exception):
    """Others have inserted more rows than are copied, or found, while readers wait: given up."""


@dataclass(frozen=True)
class _State:
    """How far the shadow is.

    Attributes:
        last_id: Its highest ``_id``.
        rows: How many rows it has, if that is known.
        others: As ``swap`` takes it; the rows kept already are before it.
        kept: How many rows of others are in it.
        keeps_writers_out: Whether the next try keeps writers waiting from the last rows that it
            copies on, so that no more can come before the swap.
    """

    last_id: int
    rows: int | None
    others: meanwhile.Others | None
    kept: int = 0
    keeps_writers_out: bool = False

    def with_more(self, before: meanwhile.Before, kept: int) -> _State:
        """Return the state when more rows have been kept."""
        assert self.others is not None  # noqa: S101  # without, nothing is kept
        return replace(
            self,
            last_id=self.last_id + kept,
            rows=None if self.rows is None else self.rows + kept,
            others=replace(self.others, before=before),
            kept=self.kept + kept,
        )


def _catch_up(relation: Relation, state: _State) -> _State:
    assert state.others is not None  # noqa: S101  # without, nobody falls behind
    return state.with_more(*meanwhile.catch_up(relation, state.others.before, state.last_id))


def _settle_others(relation: Relation, state: _State) -> tuple[_State, list[str]]:
    """Keep or refuse what others have written; return warnings too.

    Args:
        relation: Its connection is with the locks, if the live table is still there.
        state: How far the shadow is.
    """
    others = state.others
    if others is None:
        return state, []
    changes = meanwhile.notice(relation, others.before)
    if others.policy == "refuse" and changes:
        raise changes.refused(relation.names)
    if others.policy == "keep":
        # Where writers were kept out since, the table has been looked through.
        may_hide = changes.may_hide and not state.keeps_writers_out
        if changes.inserted > meanwhile.MOST_UNDER_LOCK or may_hide:
            raise _Behind
        if changes.inserted:
            kept = meanwhile.keep(relation, changes.free, state.last_id)
            state = state.with_more(others.before, kept)
    return state, changes.told(state.kept)


def _swap(
    relation: Relation,
    state: _State,
    left_out: frozenset[str],
) -> tuple[list[str], int]:
    lost: list[str] = []
    finish: list[str] = []
    locks.let_vacuums_give_way(relation.connection)
    let_autovacuum_come(relation)
    live = relation.oid()
    if live is not None:
        check_live(relation)
        if state.keeps_writers_out:
            with _outdated_if_dropped():
                state = _catch_up(relation, state)
        found = _lock_all(relation)
        if relation.oid() != live:
            raise _Outdated
        check_live(relation)
        if keep.missing(relation) - left_out:
            raise _Outdated
        state, warnings = _settle_others(relation, state)
        lost = keep.left_behind(relation) + warnings
        finish = keep.afterwards(relation)
        _replace(relation, live, found)
    else:
        check_live(relation)  # it may have been renamed
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
        finish = keep.first_key(relation)
    finish += keep.not_null_names(relation)
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
    _tell_count(relation, state.rows)
    return lost, state.kept


def _replace(relation: Relation, live: int, found: list[views.View]) -> None:
    """Let the shadow and new views take the names; then the old ones can go.

    While both are there, what the old ones carry is copied to the new ones.
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
    _carry(relation.connection, live, relation.name)
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
    keep.carry(connection, old, oid)


def _rename(
    connection: psycopg.Connection[TupleRow], kind: str, old: str, new: str, schema: str = SCHEMA
) -> None:
    connection.execute(
        sql.SQL("ALTER {} {} RENAME TO {}").format(
            sql.SQL(kind), sql.Identifier(schema, old), sql.Identifier(new)
        )
    )


def _tell_count(relation: Relation, rows: int | None) -> None:
    """Put the number of rows where CKAN 2.12 keeps it: a stale one would be shown for ever."""
    row = relation.connection.execute(
        "SELECT to_regclass('public._table_stats') IS NOT NULL"
    ).fetchone()
    if not (row and row[0]):
        return
    if rows is None:
        relation.connection.execute(
            "DELETE FROM public._table_stats WHERE resource_id = %s", (relation.name,)
        )
    else:
        relation.connection.execute(
            "INSERT INTO public._table_stats AS s (resource_id, stats)"
            " VALUES (%s, jsonb_build_object('rows', %s::bigint)) ON CONFLICT (resource_id)"
            " DO UPDATE SET stats = s.stats || excluded.stats",
            (relation.name, rows),
        )


@contextmanager
def _outdated_if_dropped() -> Iterator[None]:
    """Give the try up if others drop the table, or a view, while its lock is waited for."""
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        raise _Outdated from error


def _lock_all(relation: Relation) -> list[views.View]:
    """Lock the views and the table, in the order of those who read through a view."""
    live = relation.live
    with _outdated_if_dropped():
        locks.keep_vacuums_away(relation.connection, live)
        found = views.find(relation)
        end = time.monotonic() + locks.READERS_WAIT_MS / 1000
        for view in reversed(found):
            locks.limit(relation.connection, (end - time.monotonic()) * 1000)
            # LOCK TABLE would lock all that the view reads too, and so would the tables of others
            # be. To give it the owner that it has changes nothing and locks the view alone.
            relation.connection.execute(
                sql.SQL("ALTER VIEW {} OWNER TO {}").format(view.identifier, sql.SQL(view.owner))
            )
        locks.limit(relation.connection, (end - time.monotonic()) * 1000)
        relation.connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(live))
    # Not before the live table: pg_dump, which locks all tables, could have that one already.
    locks.limit(relation.connection, (end - time.monotonic()) * 1000)
    shadow = relation.shadow
    relation.connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(shadow))
    # What follows may wait for others too, who have a sequence, or CKAN's number of rows.
    locks.limit(relation.connection, locks.READERS_WAIT_MS)
    if not views.are_still(relation, found):
        raise _Outdated
    return found
