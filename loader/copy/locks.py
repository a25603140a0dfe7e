"""Work that may have to wait for a lock -> done within a patience, or TableBusy that says why.

Every statement that can wait for somebody else's lock runs through here: with a ``lock_timeout``,
so that others never queue behind a load for long; again and again, since who holds the lock may let
go; and for ``PATIENCE_S`` at most, with a word in the log about who holds it. Holds nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy.database import ours
from loader.errors import TableBusy

_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

PATIENCE_S = 600.0  # a long report or pg_dump may read a table all that time
_PAUSE_S = 0.5  # between tries: others go ahead
# What a statement waits that is in a reader's way: readers queue behind it.
READERS_WAIT_MS = 300
# What all others wait. Postgres cancels an autovacuum that stands in somebody's way, but only after
# deadlock_timeout, usually 1 s: a shorter limit would wait for the vacuum's end, try after try.
VACUUM_GIVES_WAY_MS = 5_000
_LIMIT = """
    SELECT set_config('lock_timeout', (greatest(%s, 2000 * extract(
        epoch FROM current_setting('deadlock_timeout')::interval)))::bigint::text, true)
"""
# A table's TOAST table and indexes are locked with it, and so are the views over it. What else
# these read is only ever read.
_HOLDERS = """
    WITH RECURSIVE named AS (
        SELECT to_regclass(name)::oid AS oid FROM unnest(%s::text[]) AS name
    ),
    viewed (oid) AS (
        SELECT oid FROM named
        UNION
        SELECT r.ev_class FROM viewed v
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid
        JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    ),
    concerned (oid, mode) AS (
        SELECT oid, NULL FROM viewed
        UNION SELECT reltoastrelid, NULL FROM pg_class JOIN named USING (oid)
        UNION SELECT indexrelid, NULL FROM pg_index JOIN named ON indrelid = named.oid
        UNION SELECT d.refobjid, 'AccessExclusiveLock' FROM viewed v
        JOIN pg_rewrite r ON r.ev_class = v.oid
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
            AND d.refclassid = 'pg_class'::regclass
    )
    SELECT DISTINCT pid, usename, application_name, state, backend_type
    FROM pg_locks l JOIN concerned c ON c.oid = l.relation AND l.mode = coalesce(c.mode, l.mode)
    LEFT JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'relation' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY pid
"""
# Locks a table's TOAST table too, which LOCK TABLE cannot: the statement changes nothing.
_NO_CHANGE = """
    SELECT coalesce((
        SELECT format('SET (toast.%%I = %%L)', option_name, option_value)
        FROM pg_class t, pg_options_to_table(t.reloptions)
        WHERE t.oid = c.reltoastrelid LIMIT 1
    ), 'RESET (toast.autovacuum_enabled)')
    FROM pg_class c WHERE c.oid = to_regclass(%s)
"""


class Patience:
    """How long one piece of work is tried again.

    Args:
        connection: In autocommit mode.
        tables: Quoted names of the tables whose locks may be waited for.
    """

    def __init__(self, connection: psycopg.Connection[TupleRow], tables: Sequence[str]) -> None:
        self._connection = connection
        self._tables = tables
        self._give_up_at = time.monotonic() + PATIENCE_S
        self._has_told = False

    def check(self, error: TableBusy) -> None:
        """See whether there is to be another try.

        Raises:
            TableBusy: The patience is at its end; says who holds the lock.
        """
        if time.monotonic() > self._give_up_at:
            raise by_whom(error, self._connection, self._tables) from error

    def wait(self, error: TableBusy) -> None:
        """Let others go ahead before the next try; log who is waited for, once.

        Raises:
            TableBusy: As ``check``.
        """
        self.check(error)
        if not self._has_told:
            _log.warning("waiting: %s", by_whom(error, self._connection, self._tables))
            self._has_told = True
        time.sleep(_PAUSE_S)


def patiently(  # noqa: PLR0913  (the last two have defaults that nearly all take)
    connection: psycopg.Connection[TupleRow],
    doing: str,
    tables: Sequence[sql.Identifier],
    work: Callable[[], _Result],
    patience: Patience | None = None,
    *,
    limit_ms: float | None = None,
    with_rows: bool = False,
) -> _Result:
    """Do some work in a transaction of its own; once more whenever it had to wait for too long.

    Args:
        connection: In autocommit mode; in a transaction, the work is its savepoint.
        doing: What is being done, for messages: "adding the primary key".
        tables: Those whose locks may be waited for.
        work: Must leave nothing but what its transaction takes back.
        patience: What is left of another's, which this is a part of; None for one of its own.
        limit_ms: How long one lock is waited for in a try; None for as long as it takes until an
            autovacuum gives way.
        with_rows: As for ``ours``.

    Returns:
        What the work returns.

    Raises:
        TableBusy: Somebody kept a lock through every try.
        AircanError: What psycopg raises in the work otherwise, as ``ours`` translates it.
    """
    patience = patience or Patience(connection, quoted(tables))
    while True:
        try:
            return once(connection, doing, work, limit_ms=limit_ms, with_rows=with_rows)
        except TableBusy as error:
            patience.wait(error)


def once(
    connection: psycopg.Connection[TupleRow],
    doing: str,
    work: Callable[[], _Result],
    *,
    limit_ms: float | None = None,
    with_rows: bool = False,
) -> _Result:
    """Try some work once, as ``patiently`` does it again and again.

    Raises:
        TableBusy: A lock could not be had in time.
        AircanError: As ``patiently``.
    """
    with ours(doing, with_rows=with_rows), connection.transaction():
        if limit_ms is None:
            let_vacuums_give_way(connection)
        else:
            limit(connection, limit_ms)
        return work()


def quoted(tables: Sequence[sql.Identifier]) -> list[str]:
    """Return names as SQL has them."""
    return [table.as_string(None) for table in tables]


def let_vacuums_give_way(connection: psycopg.Connection[TupleRow]) -> None:
    """Limit the waiting for each lock, up to the transaction's end, so that autovacuums end first.

    Those against the wraparound of transaction ids do not.
    """
    connection.execute(_LIMIT, (VACUUM_GIVES_WAY_MS,))


def limit(connection: psycopg.Connection[TupleRow], ms: float) -> None:
    """Limit the waiting for each lock, up to the transaction's end."""
    # Zero would be no limit at all.
    connection.execute(
        sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{max(int(ms), 1)}ms"))
    )


def keep_vacuums_away(connection: psycopg.Connection[TupleRow], table: sql.Identifier) -> None:
    """Keep vacuums from a table and its TOAST table to the end of the transaction.

    In nobody else's way: under these locks stronger ones are kept by readers and writers only, and
    need not wait until a vacuum has given way.

    Args:
        connection: In a transaction, with a limit that lets vacuums give way.
        table: It belongs to the role.
    """
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(table))
    row = connection.execute(_NO_CHANGE, (table.as_string(None),)).fetchone()
    if row:
        connection.execute(sql.SQL("ALTER TABLE {} {}").format(table, sql.SQL(row[0])))


def by_whom(
    error: TableBusy, connection: psycopg.Connection[TupleRow], tables: Sequence[str]
) -> TableBusy:
    """Return the error with who holds locks; no queries, they may hold secrets.

    Args:
        error: That a lock could not be had.
        connection: In no transaction that failed.
        tables: Their names, quoted.
    """
    with ours("looking for who keeps the table locked"):
        rows = connection.execute(_HOLDERS, (list(tables),)).fetchall()
    if not rows:
        return error
    holders = ", ".join(_described(*row) for row in rows)
    message = f"{error.message}; locked by {holders}"
    return TableBusy(message, hint=error.hint, option=error.option)


def _described(
    pid: int | None, user: str | None, application: str | None, state: str | None, kind: str | None
) -> str:
    if pid is None:
        return "a prepared transaction"
    # A vacuum has no user. What it is, the server shows to privileged roles only.
    who = [user, application, state] if user else [kind or "a process of the server's own"]
    return f"pid {pid} ({', '.join(filter(None, who))})"
