"""Shadow table -> live table, in one short transaction.

Readers see the old table until the commit and the new one after it. The exclusive lock is asked
for with a timeout and given up in between, so that nobody queues behind a load for longer than
``LOCK_TIMEOUT_MS``. What portals keep on a table goes over to the new one: who may do what with it,
and the Data Dictionary in its columns' comments.
"""

from __future__ import annotations

import logging
import time

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy.database import ours
from loader.copy.relation import Names, qualified
from loader.errors import DatabaseUnreachable, DependentObjects, NotADataStoreTable, TableBusy

_log = logging.getLogger(__name__)

LOCK_TIMEOUT_MS = 300
# Postgres cancels an autovacuum that stands in somebody's way for deadlock_timeout, usually 1 s.
_AUTOVACUUM_TIMEOUT_MS = 5_000
PATIENCE_S = 600.0  # a long report or pg_dump may read the old table all that time
_PAUSE_S = 0.5  # between tries: others go ahead

# Privileges and comments of an old table -> the statements that give them to a new one. Who owned
# the old one and does not own the new one keeps what an owner may do.
_CARRY = """
    WITH old AS (SELECT * FROM pg_class WHERE oid = to_regclass(%s)),
    new AS (SELECT * FROM pg_class WHERE oid = to_regclass(%s)),
    change AS (
        SELECT 1 AS step, 'REVOKE ALL ON %%1$s FROM %%2$s' AS form, grantee, NULL AS privilege
        FROM new, aclexplode(relacl) WHERE grantee <> relowner
        UNION
        SELECT 2, 'GRANT %%3$s ON %%1$s TO %%2$s'
            || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
            grantee, privilege_type
        FROM old, new, aclexplode(coalesce(old.relacl, acldefault('r', old.relowner)))
        WHERE grantee <> new.relowner
    )
    SELECT step, format(
        form, oid::regclass,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege
    ) FROM change, new
    UNION
    SELECT 3, format(
        'COMMENT ON COLUMN %%s.%%I IS %%L', new.oid::regclass, b.attname,
        col_description(a.attrelid, a.attnum)
    ) FROM old, new, pg_attribute a JOIN pg_attribute b USING (attname)
    WHERE a.attrelid = old.oid AND b.attrelid = new.oid
        AND col_description(a.attrelid, a.attnum) IS NOT NULL
    ORDER BY 1
"""


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


def exists(connection: psycopg.Connection[TupleRow], names: Names) -> bool:
    """Tell whether there is a live table, which a swap would replace."""
    with ours("looking at the live table"):
        return _oid(connection, names.live) is not None


def swap(connection: psycopg.Connection[TupleRow], names: Names, last_id: int) -> list[str]:
    """Put the shadow in the live table's place.

    Args:
        connection: In autocommit mode; holds the resource's lock.
        names: The relations' names.
        last_id: The highest ``_id``; the sequence goes on after it.

    Returns:
        Warnings: what was on the old table and is not on the new one.

    Raises:
        TableBusy: Others kept the live table locked through every try.
        DatabaseUnreachable: The connection broke: whether before or after the swap, is unknown.
        NotADataStoreTable, DependentObjects: As ``check_live``.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    waiting = False
    while True:
        try:
            with ours("swapping the tables"), connection.transaction():
                lost = _swap(connection, names, last_id)
        except TableBusy as error:
            if time.monotonic() > give_up_at:
                raise _by_whom(error, connection, names) from error
            if not waiting:
                _log.warning("waiting: %s", _by_whom(error, connection, names))
                waiting = True
            time.sleep(_PAUSE_S)
        except DatabaseUnreachable as error:
            raise _unknown(error) from error
        else:
            break
    warnings = [f"not carried over from the old table: {', '.join(lost)}"] if lost else []
    for warning in warnings:
        _log.warning("%s: %s", names.live, warning)
    return warnings


def _by_whom(error: TableBusy, connection: psycopg.Connection[TupleRow], names: Names) -> TableBusy:
    """Return the error with who keeps the table locked; no queries, they may hold secrets."""
    with ours("looking for who keeps the table locked"):
        rows = connection.execute(
            "SELECT DISTINCT pid, usename, application_name, state"
            " FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'relation' AND granted AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND relation = to_regclass(%s) ORDER BY pid",
            (qualified(names.live).as_string(None),),
        ).fetchall()
    if not rows:
        return error
    holders = [f"pid {pid} ({', '.join(filter(None, who))})" for pid, *who in rows]
    return TableBusy(f"{error.message}; locked by {', '.join(holders)}", hint=error.hint)


def _unknown(error: DatabaseUnreachable) -> DatabaseUnreachable:
    return DatabaseUnreachable(
        error.message,
        hint="the server may have swapped the tables before the connection broke:"
        " look at the table, then load again",
    )


def _swap(connection: psycopg.Connection[TupleRow], names: Names, last_id: int) -> list[str]:
    lost: list[str] = []
    if _oid(connection, names.live) is not None:
        live = qualified(names.live)
        # This lock is in nobody's way but a vacuum's; under it the next one waits for readers only.
        _lock(connection, live, "SHARE UPDATE EXCLUSIVE", _AUTOVACUUM_TIMEOUT_MS)
        _lock(connection, live, "ACCESS EXCLUSIVE", LOCK_TIMEOUT_MS)
        check_live(connection, names)
        lost = _additions(connection, names)
        _carry(connection, names)
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
    return lost


def _carry(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """Give the shadow the live table's privileges, and the comments of its columns.

    Privileges that the shadow has by default go: without them on the live table, somebody has
    taken them away. A comment wins over the label of this load: an editor may have written it.
    """
    statements = connection.execute(
        _CARRY,
        (qualified(names.live).as_string(None), qualified(names.shadow).as_string(None)),
    ).fetchall()
    if statements:
        connection.execute("; ".join(statement for _, statement in statements))


def _additions(connection: psycopg.Connection[TupleRow], names: Names) -> list[str]:
    """Return the live table's indexes and triggers that are neither CKAN's nor AirCan's."""
    rows = connection.execute(
        "SELECT format('index %%I', relname) FROM pg_index JOIN pg_class ON oid = indexrelid"
        " WHERE indrelid = to_regclass(%(live)s) AND NOT indisprimary AND relname <> %(full_text)s"
        " UNION SELECT format('trigger %%I', tgname) FROM pg_trigger"
        " WHERE tgrelid = to_regclass(%(live)s) AND NOT tgisinternal AND tgname <> 'zfulltext'"
        " ORDER BY 1",
        {"live": qualified(names.live).as_string(None), "full_text": names.full_text_index},
    ).fetchall()
    return [row[0] for row in rows]


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
