"""The tables of resources that are gone -> dropped: CKAN would show their rows to everybody.

CKAN lets whoever sees a dataset search the tables of its deleted resources too. In: a connection,
the CKAN whose DataStore it is to. Out: tables dropped, but none of which CKAN does not say that
it has it, and that its resource is gone. Holds one line for each table.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import dictionary, relation
from loader.copy.database import ours
from loader.copy.relation import MARK, SCHEMA, Names, qualified
from loader.errors import DatabaseError

if TYPE_CHECKING:
    from loader.ckan import Ckan

_log = logging.getLogger(__name__)

_LOCK_TIMEOUT_S = 30  # a long report may read the rows; nobody has to wait behind us for longer


def drop(connection: psycopg.Connection[TupleRow], ckan: Ckan, names: Names) -> bool:
    """Drop the live table of a resource that is gone.

    Args:
        connection: In autocommit mode; holds the resource's lock.
        ckan: Has said that the resource is gone.
        names: Of the table.

    Returns:
        Whether there is no table any more: this one stays if it is none that CKAN lists.

    Raises:
        DatabaseError: It cannot be dropped.
    """
    oid = _oid(connection, names.live)
    if oid is None:
        return True
    if ckan.table_oid(names.live) != oid:
        _log.warning("%s stays: CKAN does not list this very table", names.live)
        return False
    with ours("dropping the table"), connection.transaction():
        _drop(connection, names.live)
    _log.warning("dropped %s, whose resource is gone", names.live)
    return True


def drop_all(
    connection: psycopg.Connection[TupleRow], ckan: Ckan, *, dry_run: bool = False
) -> list[str] | None:
    """Drop the tables that loads have made and whose resources are gone.

    Args:
        connection: In autocommit mode.
        ckan: The CKAN whose DataStore it is to.
        dry_run: Only list.

    Returns:
        The tables' names. One that is being loaded is left alone: its load finds out. None, and
        nothing is dropped, where the database is not known to be the DataStore of that CKAN.

    Raises:
        CkanError: CKAN cannot be asked.
    """
    if not ckan.shares_datastore(dictionary.tables(connection)):
        return None
    found = []
    for table, oid in _loaded(connection):
        if not ckan.is_gone(table) or ckan.table_oid(table) != oid:
            continue
        if dry_run or _drop_unless_loading(connection, table, oid):
            found.append(table)
    return found


def _drop_unless_loading(connection: psycopg.Connection[TupleRow], table: str, oid: int) -> bool:
    try:
        with ours(f"dropping {table}"), connection.transaction():
            if not relation.lock_for_now(connection, table) or _oid(connection, table) != oid:
                return False
            _drop(connection, table)
    except DatabaseError as error:  # the others are to go all the same
        _log.warning("%s", error)
        return False
    return True


def _loaded(connection: psycopg.Connection[TupleRow]) -> list[tuple[str, int]]:
    """Return name and oid of the live tables that loads have made, by the mark on the sequence."""
    with ours("looking for the tables of loads"):
        return connection.execute(
            "SELECT t.relname, t.oid FROM pg_class s"
            " JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid"
            "  AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'"
            " JOIN pg_class t ON t.oid = d.refobjid"
            " WHERE s.relkind = 'S' AND t.relkind = 'r' AND t.relnamespace = %s::regnamespace"
            "  AND obj_description(s.oid, 'pg_class') = %s AND left(t.relname, 1) <> '_'"
            " ORDER BY 1",
            (SCHEMA, MARK),
        ).fetchall()


def _drop(connection: psycopg.Connection[TupleRow], table: str) -> None:
    connection.execute(
        sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{_LOCK_TIMEOUT_S}s"))
    )
    # With the views over it, as CKAN does when it deletes a table: they show its rows.
    connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(qualified(table)))
    row = connection.execute("SELECT to_regclass('public._table_stats') IS NOT NULL").fetchone()
    if row and row[0]:
        connection.execute("DELETE FROM public._table_stats WHERE resource_id = %s", (table,))


def _oid(connection: psycopg.Connection[TupleRow], table: str) -> int | None:
    with ours("looking for the table"):
        row = connection.execute(
            "SELECT to_regclass(%s)::oid", (qualified(table).as_string(None),)
        ).fetchone()
    return row[0] if row else None
