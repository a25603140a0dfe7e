"""Shadow table -> live table, in one short transaction.

Readers see the old table until the commit and the new one after it. The exclusive lock is asked
for with a timeout and given up in between, so that nobody queues behind a load for longer than
``LOCK_TIMEOUT_MS``.
"""

from __future__ import annotations

import time

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy.database import ours
from loader.copy.relation import Names, qualified
from loader.errors import DependentObjects, NotADataStoreTable, TableBusy

LOCK_TIMEOUT_MS = 300
# Postgres cancels an autovacuum that stands in somebody's way for deadlock_timeout, usually 1 s.
_AUTOVACUUM_TIMEOUT_MS = 5_000
PATIENCE_S = 600.0  # a long report or pg_dump may read the old table all that time
_PAUSE_S = 0.5  # between tries: others go ahead


def check_live(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """Refuse early what the swap must not replace.

    Raises:
        NotADataStoreTable: The name belongs to a view, or to a table without ``_id`` and
            ``_full_text``: it is somebody else's.
        DependentObjects: Views or foreign keys depend on the live table.
    """
    with ours("looking at the live table"):
        oid = _oid(connection, names.live)
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
                hint="choose another name with --resource-id, or rename what is there",
            )
        _refuse_dependents(connection, names, oid)


def swap(connection: psycopg.Connection[TupleRow], names: Names, last_id: int) -> None:
    """Put the shadow in the live table's place.

    Args:
        connection: In autocommit mode; holds the resource's lock.
        names: The relations' names.
        last_id: The highest ``_id``; the sequence goes on after it.

    Raises:
        TableBusy: Others kept the live table locked through every try.
        NotADataStoreTable, DependentObjects: As ``check_live``.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            with ours("swapping the tables"), connection.transaction():
                _swap(connection, names, last_id)
        except TableBusy:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _swap(connection: psycopg.Connection[TupleRow], names: Names, last_id: int) -> None:
    if _oid(connection, names.live) is not None:
        live = qualified(names.live)
        # This lock is in nobody's way but a vacuum's; under it the next one waits for readers only.
        _lock(connection, live, "SHARE UPDATE EXCLUSIVE", _AUTOVACUUM_TIMEOUT_MS)
        _lock(connection, live, "ACCESS EXCLUSIVE", LOCK_TIMEOUT_MS)
        check_live(connection, names)
        connection.execute(sql.SQL("DROP TABLE {}").format(live))
    for kind, old, new in (
        ("TABLE", names.shadow, names.live),
        ("SEQUENCE", f"{names.shadow}__id_seq", f"{names.live}__id_seq"),
        ("INDEX", f"{names.shadow}_pkey", f"{names.live}_pkey"),
        ("INDEX IF EXISTS", f"{names.shadow}_fts", names.full_text_index),
    ):
        connection.execute(
            sql.SQL("ALTER {} {} RENAME TO {}").format(
                sql.SQL(kind), qualified(old), sql.Identifier(new)
            )
        )
    connection.execute(
        "SELECT setval(%s::regclass, %s, %s)",
        (qualified(f"{names.live}__id_seq").as_string(None), max(last_id, 1), last_id > 0),
    )


def _lock(
    connection: psycopg.Connection[TupleRow], table: sql.Identifier, mode: str, timeout_ms: int
) -> None:
    connection.execute(
        sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{timeout_ms}ms"))
    )
    connection.execute(sql.SQL("LOCK TABLE {} IN {} MODE").format(table, sql.SQL(mode)))


def _oid(connection: psycopg.Connection[TupleRow], relation: str) -> int | None:
    row = connection.execute(
        "SELECT to_regclass(%s)::oid", (qualified(relation).as_string(None),)
    ).fetchone()
    return row[0] if row else None


def _refuse_dependents(connection: psycopg.Connection[TupleRow], names: Names, oid: int) -> None:
    rows = connection.execute(
        "SELECT 'view ' || r.ev_class::regclass FROM pg_depend d JOIN pg_rewrite r"
        " ON r.oid = d.objid WHERE d.classid = 'pg_rewrite'::regclass"
        " AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %(oid)s"
        " UNION SELECT 'foreign key ' || conname || ' of ' || conrelid::regclass"
        " FROM pg_constraint WHERE confrelid = %(oid)s AND conrelid <> %(oid)s ORDER BY 1",
        {"oid": oid},
    ).fetchall()
    if rows:
        raise DependentObjects(
            f"{names.live} cannot be replaced: {', '.join(row[0] for row in rows)} depends on it",
            hint="drop what depends on it, load, then create it again",
        )
