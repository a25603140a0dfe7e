"""The number of rows that CKAN shows of a table: a stale one would be shown for ever.

In: what a load has made of the table. Out: the number, where CKAN 2.12 keeps it, or none, so that
CKAN counts. Holds one number.
"""

from __future__ import annotations

import logging

import psycopg
from psycopg.rows import TupleRow

from loader.copy import locks
from loader.copy.relation import Relation
from loader.errors import DatabaseError

_log = logging.getLogger(__name__)


def write(relation: Relation, rows: int) -> None:
    """Put the number of rows where CKAN keeps it; in the transaction that changes it."""
    if _has_counts(relation.connection):
        relation.connection.execute(
            "INSERT INTO public._table_stats AS s (resource_id, stats)"
            " VALUES (%s, jsonb_build_object('rows', %s::bigint)) ON CONFLICT (resource_id)"
            " DO UPDATE SET stats = s.stats || excluded.stats",
            (relation.name, rows),
        )


def forget(connection: psycopg.Connection[TupleRow], table: str) -> None:
    """Let CKAN count the rows of a table when it is asked for them."""
    if _has_counts(connection):
        connection.execute("DELETE FROM public._table_stats WHERE resource_id = %s", (table,))


def _has_counts(connection: psycopg.Connection[TupleRow]) -> bool:
    row = connection.execute("SELECT to_regclass('public._table_stats') IS NOT NULL").fetchone()
    return bool(row and row[0])


def count_again(relation: Relation) -> None:
    """Have CKAN's own function count the rows, where there is one; not if others are in the way.

    Args:
        relation: Its connection is in autocommit mode.
    """

    def count() -> None:
        row = relation.connection.execute(
            "SELECT to_regprocedure('public.update_cached_table_row_count(name)') IS NOT NULL"
        ).fetchone()
        if row and row[0]:
            relation.connection.execute(
                "SELECT public.update_cached_table_row_count(%s)", (relation.name,)
            )

    try:
        locks.attempt(relation.connection, "counting the rows for CKAN", count)
    except DatabaseError as error:  # the rows are there; the next search counts them
        _log.warning("%s: %s", relation.name, error)
