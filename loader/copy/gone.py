"""The tables of deleted resources -> dropped, since CKAN would go on showing their rows.

CKAN lets everybody who sees a dataset search the tables of its deleted resources too. In: a
connection, and a portal that knows its resources. Out: tables dropped, but only those that a load
into this very portal has made, that the portal lists, and whose resource it says it does not have.
Holds one line for each table.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import dictionary, locks, resource_lock, row_count, statements
from loader.copy.database import ours
from loader.copy.portal import Portal
from loader.copy.relation import (
    SCHEMA,
    Relation,
    dataset_of,
    find_oid,
    names_a_site,
    qualified,
)
from loader.errors import DatabaseError, DatabaseUnreachable, TableBusy

_log = logging.getLogger(__name__)

_DROPPING = "dropping the table of a resource that is gone"
TABLES_AT_ONCE = 100  # tables in one call to the portal


def drop(
    relation: Relation,
    portal: Portal,
    mark: str | None,
    *,
    loaded: int | None = None,
) -> bool:
    """Drop the live table of a resource that is gone; wait for its readers.

    Args:
        relation: Its connection is in autocommit mode; it holds the resource's lock.
        portal: Has said that the resource is gone.
        mark: Of this portal, and of the dataset that the resource was in; None if unknown.
        loaded: What ``oid_of`` tells of the table that this process has loaded into. Without it
            only the table's mark tells: an id that the portal never had is "gone" too.

    Returns:
        Whether the resource's rows are no longer there. A table stays that the portal does not
        list, or that no mark tells of; and one of another portal or dataset, which has none.

    Raises:
        DatabaseError: It cannot be dropped.
        CkanError: The portal cannot be asked which tables it has.
    """
    connection, table = relation.connection, relation.name
    oid = oid_of(connection, table)
    if oid is None:
        return True
    found = _mark(connection, oid)
    if loaded is not None and oid != loaded:
        _log.warning("%s stays: it was made after this load", table)
        return True
    if loaded is None and (mark is None or found != mark):
        _log.warning("%s stays: no load of this resource has made it", table)
        return mark is not None and names_a_site(found)
    if portal.table_oids([table]).get(table) != oid:
        _log.warning("%s stays: CKAN does not list this very table", table)
        return False
    dropped = locks.retry(
        connection,
        _DROPPING,
        [relation.live],
        lambda: _drop(connection, table, oid),
        limit_ms=locks.READERS_WAIT_MS,
    )
    if dropped:
        _log.warning("dropped %s, whose resource is gone", table)
    return dropped or oid_of(connection, table) is None


def is_datastore_of(connection: psycopg.Connection[TupleRow], portal: Portal) -> bool:
    """Tell whether a database is known to be a portal's DataStore.

    Raises:
        CkanError: The portal cannot be asked.
    """
    return bool(portal.shares_datastore(dictionary.tables(connection)))


def drop_all(
    connection: psycopg.Connection[TupleRow], portal: Portal, *, dry_run: bool
) -> Iterator[str]:
    """Drop the tables that loads into a portal have made and whose resources are gone.

    A table that is being loaded is left alone: its load drops it. One that is being read stays
    until the next cleanup.

    Args:
        connection: In autocommit mode.
        portal: The one whose DataStore it is to be. It is not asked about a table with the mark of
            another portal, or without one.
        dry_run: Only list.

    Yields:
        The name of each table, once it is dropped.

    Raises:
        CkanError: The portal cannot be asked; it is asked for no further table.
        DatabaseUnreachable: The database is away.
    """
    site = portal.site()
    if site is None:
        _log.warning("no tables of deleted resources are looked for: CKAN does not tell its URL")
        return
    loaded = iter(_loaded(connection, site))
    while some := list(islice(loaded, TABLES_AT_ONCE)):
        lost = {table: oid for table, oid, dataset in some if portal.is_gone(table, dataset)}
        listed = portal.table_oids(list(lost)) if lost else {}
        for table, oid in lost.items():
            if listed.get(table) == oid and _may_go(connection, table, oid, dry_run=dry_run):
                yield table


def _may_go(
    connection: psycopg.Connection[TupleRow], table: str, oid: int, *, dry_run: bool
) -> bool:
    """Drop a table that is not being loaded; return whether it is, or would be with ``dry_run``."""

    def work() -> bool:
        if not resource_lock.take_for_now(connection, table):
            return False
        return dry_run or _drop(connection, table, oid)

    try:
        return locks.attempt(connection, _DROPPING, work, limit_ms=locks.READERS_WAIT_MS)
    except DatabaseUnreachable:
        raise
    except TableBusy as error:
        busy = locks.with_holders(error, connection, locks.quoted([qualified(table)]))
        _log.warning("%s stays: %s", table, busy)
    except DatabaseError as error:  # the others are to go all the same
        _log.warning("%s stays: %s", table, error)
    return False


def _loaded(connection: psycopg.Connection[TupleRow], site: str) -> list[tuple[str, int, str]]:
    """Return name, oid and dataset of the live tables that loads into a portal have made."""
    with ours("looking for the tables of loads"):
        found = connection.execute(
            statements.read("gone.tables"), {"schema": SCHEMA, "oid": None}
        ).fetchall()
    named = [(table, oid, dataset_of(mark, site)) for table, oid, mark in found]
    return [(table, oid, dataset) for table, oid, dataset in named if dataset]


def _mark(connection: psycopg.Connection[TupleRow], oid: int) -> str | None:
    with ours("looking whose table it is"):
        row = connection.execute(
            statements.read("gone.tables"), {"schema": SCHEMA, "oid": oid}
        ).fetchone()
    return row[2] if row else None


def _drop(connection: psycopg.Connection[TupleRow], table: str, oid: int) -> bool:
    """Drop a table in a transaction, if it is still the very same; tell whether it was."""
    try:
        with connection.transaction():
            if oid_of(connection, table) != oid:
                return False
            lock = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(qualified(table))
            connection.execute(lock)
    except psycopg.errors.UndefinedTable:  # the session that held the lock has dropped it
        return False
    # The session that held the lock may have dropped it and created another one.
    if oid_of(connection, table) != oid:
        return False
    # With the views over it, as CKAN does when it deletes a table: they show its rows.
    connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(qualified(table)))
    row_count.forget(connection, table)
    return True


def oid_of(connection: psycopg.Connection[TupleRow], table: str) -> int | None:
    """Return a table's oid, which another one of its name would not have; None: no such table."""
    with ours("looking for the table"):
        return find_oid(connection, table)
