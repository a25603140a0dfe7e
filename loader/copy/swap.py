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

from loader.copy import commit, keep, locks, meanwhile, relation, views
from loader.copy.database import ours
from loader.copy.relation import SCHEMA, Names, let_autovacuum_come, qualified
from loader.errors import DatabaseUnreachable, NotADataStoreTable, TableBusy
from loader.table_state import TableChange

_log = logging.getLogger(__name__)


def check_live(
    connection: psycopg.Connection[TupleRow], names: Names, *, replaced: bool = True
) -> None:
    """Refuse early what a load must not touch.

    Args:
        connection: In autocommit mode.
        names: Of the table, which need not be there.
        replaced: Whether the table is to be replaced, and not only to get rows.

    Raises:
        NotADataStoreTable: The name belongs to a view, or to a table without ``_id`` and
            ``_full_text``: it is somebody else's. So may be a name that goes with it.
        DependentObjects: Something depends on the live table that no swap can bring back.
    """
    with ours("looking at the live table"):
        oid = relation.oid(connection, names.live)
        if replaced or oid is None:
            _refuse_taken(connection, names, oid)
        if oid is None:
            return
        row = connection.execute(
            "SELECT relkind = 'r' AND 2 = (SELECT count(*) FROM pg_attribute WHERE attrelid = %s"
            " AND NOT attisdropped AND attname IN ('_id', '_full_text'))"
            " FROM pg_class WHERE oid = %s",
            (oid, oid),
        ).fetchone()
        if not (row and row[0]):
            raise NotADataStoreTable(
                f"{names.live} exists in this database and is not a DataStore table",
                hint="choose another name, or rename what is there",
                option="resource_id",
            )
        if replaced:
            views.refuse(connection, names)


def _refuse_taken(connection: psycopg.Connection[TupleRow], names: Names, oid: int | None) -> None:
    """Refuse a table whose sequence or index cannot have its name, before hours of work.

    One that is renamed keeps both.
    """
    wanted = [f"{names.live}__id_seq", f"{names.live}_pkey", names.full_text_index]
    taken = connection.execute(
        "SELECT c.relname FROM pg_class c WHERE relnamespace = %s::regnamespace"
        " AND relname = ANY(%s) AND NOT EXISTS ("
        " SELECT FROM pg_index WHERE indexrelid = c.oid AND indrelid = %s) AND NOT EXISTS ("
        " SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid"
        " AND refclassid = 'pg_class'::regclass AND refobjid = %s) ORDER BY 1",
        (SCHEMA, wanted, oid or 0, oid or 0),
    ).fetchall()
    if taken:
        raise NotADataStoreTable(
            f"others have names that belong to the table {names.live}:"
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


def swap(  # noqa: PLR0913, PLR0917  (what is swapped, and what is to be known of it)
    connection: psycopg.Connection[TupleRow],
    names: Names,
    last_id: int,
    rows: int | None = None,
    others: meanwhile.Others | None = None,
    change: TableChange | None = None,
) -> Swapped:
    """Put the shadow in the live table's place.

    Args:
        connection: In autocommit mode; holds the resource's lock.
        names: The relations' names; the shadow has its keys and indexes.
        last_id: The highest ``_id``; the sequence goes on after it.
        rows: How many rows the shadow has, for CKAN's cache of row counts; None lets CKAN count.
        others: What is to be done about those who wrote into the live table during the load; None
            to let their rows go with it.
        change: Is kept true of the live table, however the swap ends.

    Raises:
        TableBusy: Others kept the live table locked through every try.
        DatabaseUnreachable: The connection broke: whether before or after the swap, is unknown.
        NotADataStoreTable: As ``check_live``.
        DependentObjects: As ``check_live``, or a view cannot be made over the new columns.
        KeyViolated, RowRefused: A key or a constraint that came during the load is not kept.
        TableChanged: Others wrote into the live table, and that is not to be, or their rows do not
            fit the new one.
    """
    views.check(connection, names)
    warnings = []
    tables = [qualified(names.live), qualified(names.shadow)]
    patience = locks.Patience(connection, locks.quoted(tables))
    left_out: frozenset[str] = frozenset()
    state = _State(last_id, rows, others)
    change = change or TableChange()
    while True:
        try:
            with (
                commit.known(change),
                ours("swapping the tables"),
                connection.transaction(),
            ):
                lost, kept = _swap(connection, names, state, left_out)
                change.table = "unknown"
            change.table = "replaced"
        except _Behind:
            state = locks.patiently(
                connection,
                "keeping the rows of others",
                tables,
                partial(_catch_up, connection, names, state),
                patience,
            )
            # Whoever inserts that many again until the next try would keep this going for ever.
            state = replace(state, keeps_writers_out=True)
        except _Outdated:
            patience.check(_restless(names))
            # Built while nobody has to wait; what cannot be built is told, and not tried again.
            warnings += keep.build_indexes(connection, names)
            left_out = locks.patiently(
                connection,
                "looking at the live table",
                tables,
                partial(keep.missing, connection, names),
                patience,
            )
            state = replace(state, keeps_writers_out=False)
        except TableBusy as error:
            patience.wait(error)
            # The rows that come while a reader is waited for are copied once, not in every try.
            state = replace(state, keeps_writers_out=False)
        except DatabaseUnreachable as error:
            raise _unknown(error) if change.table == "unknown" else error from error
        else:
            break
    warnings = list(dict.fromkeys(warnings + lost))
    for warning in warnings:
        _log.warning("%s: %s", names.live, warning)
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


def _catch_up(connection: psycopg.Connection[TupleRow], names: Names, state: _State) -> _State:
    assert state.others is not None  # noqa: S101  # without, nobody falls behind
    return state.with_more(
        *meanwhile.catch_up(connection, names, state.others.before, state.last_id)
    )


def _settle_others(
    connection: psycopg.Connection[TupleRow], names: Names, state: _State
) -> tuple[_State, list[str]]:
    """Keep or refuse what others have written; return warnings too.

    Args:
        connection: With the locks, if the live table is still there.
        names: Of both tables.
        state: How far the shadow is.
    """
    others = state.others
    if others is None:
        return state, []
    changes = meanwhile.notice(connection, names, others.before)
    if others.policy == "refuse" and changes:
        raise changes.refused(names)
    if others.policy == "keep":
        # Where writers were kept out since, the table has been looked through.
        may_hide = changes.may_hide and not state.keeps_writers_out
        if changes.inserted > meanwhile.MOST_UNDER_LOCK or may_hide:
            raise _Behind
        if changes.inserted:
            kept = meanwhile.keep(connection, names, changes.free, state.last_id)
            state = state.with_more(others.before, kept)
    return state, changes.told(state.kept)


def _swap(
    connection: psycopg.Connection[TupleRow],
    names: Names,
    state: _State,
    left_out: frozenset[str],
) -> tuple[list[str], int]:
    lost: list[str] = []
    finish: list[str] = []
    locks.let_vacuums_give_way(connection)
    let_autovacuum_come(connection, names)
    live = relation.oid(connection, names.live)
    if live is not None:
        check_live(connection, names)
        if state.keeps_writers_out:
            with _outdated_if_dropped():
                state = _catch_up(connection, names, state)
        found = _lock_all(connection, names)
        if relation.oid(connection, names.live) != live:
            raise _Outdated
        check_live(connection, names)
        if keep.missing(connection, names) - left_out:
            raise _Outdated
        state, warnings = _settle_others(connection, names, state)
        lost = keep.left_behind(connection, names) + warnings
        finish = keep.afterwards(connection, names)
        _replace(connection, names, live, found)
    else:
        check_live(connection, names)  # it may have been renamed
        state, lost = _settle_others(connection, names, state)
        locks.limit(connection, locks.READERS_WAIT_MS)
        _rename(connection, "TABLE", names.shadow, names.live)
    for kind, old, new in (
        ("SEQUENCE", f"{names.shadow}__id_seq", f"{names.live}__id_seq"),
        ("INDEX", f"{names.shadow}_pkey", f"{names.live}_pkey"),
        ("INDEX IF EXISTS", names.shadow_full_text_index, names.full_text_index),
    ):
        _rename(connection, kind, old, new)
    if live is None:
        finish = keep.first_key(connection, names)
    finish += keep.not_null_names(connection, names)
    for statement in finish:
        connection.execute(statement)
    connection.execute(
        "SELECT setval(%s::regclass, %s, %s)",
        (
            qualified(f"{names.live}__id_seq").as_string(None),
            max(state.last_id, 1),
            state.last_id > 0,
        ),
    )
    _tell_count(connection, names, state.rows)
    return lost, state.kept


def _replace(
    connection: psycopg.Connection[TupleRow], names: Names, live: int, found: list[views.View]
) -> None:
    """Let the shadow and new views take the names; then the old ones can go.

    While both are there, what the old ones carry is copied to the new ones.
    """
    for view in found:
        _rename(connection, "VIEW", view.name, f"{names.shadow}_{view.oid}", view.schema)
    _rename(connection, "TABLE", names.live, f"{names.shadow}_old")
    _rename(connection, "TABLE", names.shadow, names.live)
    _carry(connection, live, names.live)
    sequence = relation.oid(connection, f"{names.live}__id_seq")
    if sequence is not None:
        _carry(connection, sequence, f"{names.shadow}__id_seq")
    for view in found:
        views.create(connection, view, names)
        _carry(connection, view.oid, view.name, view.schema)
    for view in reversed(found):
        old = sql.Identifier(view.schema, f"{names.shadow}_{view.oid}")
        connection.execute(sql.SQL("DROP VIEW {}").format(old))
    connection.execute(sql.SQL("DROP TABLE {}").format(qualified(f"{names.shadow}_old")))


def _carry(
    connection: psycopg.Connection[TupleRow], old: int, new: str, schema: str = SCHEMA
) -> None:
    oid = relation.oid(connection, new, schema)
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


def _tell_count(connection: psycopg.Connection[TupleRow], names: Names, rows: int | None) -> None:
    """Put the number of rows where CKAN 2.12 keeps it: a stale one would be shown for ever."""
    row = connection.execute("SELECT to_regclass('public._table_stats') IS NOT NULL").fetchone()
    if not (row and row[0]):
        return
    if rows is None:
        connection.execute("DELETE FROM public._table_stats WHERE resource_id = %s", (names.live,))
    else:
        connection.execute(
            "INSERT INTO public._table_stats AS s (resource_id, stats)"
            " VALUES (%s, jsonb_build_object('rows', %s::bigint)) ON CONFLICT (resource_id)"
            " DO UPDATE SET stats = s.stats || excluded.stats",
            (names.live, rows),
        )


@contextmanager
def _outdated_if_dropped() -> Iterator[None]:
    """Give the try up if others drop the table, or a view, while its lock is waited for."""
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        raise _Outdated from error


def _lock_all(connection: psycopg.Connection[TupleRow], names: Names) -> list[views.View]:
    """Lock the views and the table, in the order of those who read through a view."""
    live = qualified(names.live)
    with _outdated_if_dropped():
        locks.keep_vacuums_away(connection, live)
        found = views.find(connection, names)
        end = time.monotonic() + locks.READERS_WAIT_MS / 1000
        for view in reversed(found):
            locks.limit(connection, (end - time.monotonic()) * 1000)
            # LOCK TABLE would lock all that the view reads too, and so would the tables of others
            # be. To give it the owner that it has changes nothing and locks the view alone.
            connection.execute(
                sql.SQL("ALTER VIEW {} OWNER TO {}").format(view.identifier, sql.SQL(view.owner))
            )
        locks.limit(connection, (end - time.monotonic()) * 1000)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(live))
    # Not before the live table: pg_dump, which locks all tables, could have that one already.
    locks.limit(connection, (end - time.monotonic()) * 1000)
    shadow = qualified(names.shadow)
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(shadow))
    # What follows may wait for others too, who have a sequence, or CKAN's number of rows.
    locks.limit(connection, locks.READERS_WAIT_MS)
    if not views.are_still(connection, names, found):
        raise _Outdated
    return found
