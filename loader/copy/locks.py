"""Work that may have to wait for a lock -> its result, or TableBusy with the holder of the lock.

Every statement that can wait for another session's lock runs through here. Each try has a
``lock_timeout``, so that other sessions never queue behind a load for long. Tries are repeated,
since the holder may release the lock, for ``GIVE_UP_AFTER_S`` at most; one log line names the
holder. Holds nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import statements
from loader.copy.database import ours
from loader.errors import TableBusy
from loader.net.retry import Attempts, Backoff

_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

GIVE_UP_AFTER_S = 600.0  # a long report or pg_dump may read a table all that time
_PAUSE_S = 0.5  # between tries: others go ahead
# The limit for a statement that blocks readers: they queue behind it while it waits.
READERS_WAIT_MS = 300
# The limit for all other statements. Postgres cancels an autovacuum that blocks another session,
# but only after deadlock_timeout, usually 1 s: with a shorter limit each try would end before that.
VACUUM_YIELDS_MS = 5_000
# The limit for one try of a merge: longer, since the next try has to insert all rows again. Only
# sessions that write a row or change the table make it wait; readers never do.
MERGE_WAITS_MS = 60_000
_LIMIT = """
    SELECT set_config('lock_timeout', (greatest(%s, 2000 * extract(
        epoch FROM current_setting('deadlock_timeout')::interval)))::bigint::text, true)
"""


class Deadline:
    """Until when a piece of work is tried again.

    Args:
        connection: In autocommit mode.
        tables: Quoted names of the tables whose locks may be waited for.
    """

    def __init__(self, connection: psycopg.Connection[TupleRow], tables: Sequence[str]) -> None:
        self._connection = connection
        self._tables = tables
        self._attempts = Attempts(Backoff.steady(_PAUSE_S), limit_s=GIVE_UP_AFTER_S)

    def check(self, error: TableBusy) -> None:
        """See whether there is to be another try.

        Raises:
            TableBusy: The time is up; says who holds the lock.
        """
        if self._attempts.is_over:
            raise with_holders(error, self._connection, self._tables) from error

    def wait(self, error: TableBusy) -> None:
        """Let other sessions go ahead before the next try; log the holder the first time.

        Raises:
            TableBusy: As ``check``.
        """
        self.check(error)
        if not self._attempts.failures:
            _log.warning("waiting: %s", with_holders(error, self._connection, self._tables))
        self._attempts.wait()


def retry(  # noqa: PLR0913  (the last two have defaults that nearly all take)
    connection: psycopg.Connection[TupleRow],
    doing: str,
    tables: Sequence[sql.Identifier],
    work: Callable[[], _Result],
    deadline: Deadline | None = None,
    *,
    limit_ms: float | None = None,
    with_rows: bool = False,
) -> _Result:
    """Do some work in a transaction of its own; repeat it whenever it had to wait for too long.

    Args:
        connection: In autocommit mode; in a transaction, the work is its savepoint.
        doing: What is being done, for messages: "adding the primary key".
        tables: Those whose locks may be waited for.
        work: Has no effect but those that a rollback undoes.
        deadline: That of the work which this is a part of; None for one of its own.
        limit_ms: How long one lock is waited for in a try; None for long enough that Postgres
            cancels an autovacuum that blocks it.
        with_rows: As for ``ours``.

    Returns:
        What the work returns.

    Raises:
        TableBusy: Another session held a lock through every try.
        AircanError: What psycopg raises in the work otherwise, as ``ours`` translates it.
    """
    deadline = deadline or Deadline(connection, quoted(tables))
    while True:
        try:
            return attempt(connection, doing, work, limit_ms=limit_ms, with_rows=with_rows)
        except TableBusy as error:
            deadline.wait(error)


def attempt(
    connection: psycopg.Connection[TupleRow],
    doing: str,
    work: Callable[[], _Result],
    *,
    limit_ms: float | None = None,
    with_rows: bool = False,
) -> _Result:
    """Do one try of some work, of those that ``retry`` repeats.

    Raises:
        TableBusy: Others did not release a lock in time.
        AircanError: As ``retry``.
    """
    with ours(doing, with_rows=with_rows), connection.transaction():
        if limit_ms is None:
            let_vacuums_yield(connection)
        else:
            limit(connection, limit_ms)
        return work()


def quoted(tables: Sequence[sql.Identifier]) -> list[str]:
    """Return names as SQL has them."""
    return [table.as_string(None) for table in tables]


def let_vacuums_yield(connection: psycopg.Connection[TupleRow]) -> None:
    """Limit the waiting for each lock, up to the transaction's end, so that autovacuums end first.

    An autovacuum against the wraparound of transaction ids is not cancelled.
    """
    connection.execute(_LIMIT, (VACUUM_YIELDS_MS,))


def limit(connection: psycopg.Connection[TupleRow], ms: float) -> None:
    """Limit the waiting for each lock, up to the transaction's end."""
    # Zero would be no limit at all.
    connection.execute(
        sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{max(int(ms), 1)}ms"))
    )


def block_vacuums(connection: psycopg.Connection[TupleRow], table: sql.Identifier) -> None:
    """Keep vacuums from a table and its TOAST table to the end of the transaction.

    Neither readers nor writers are blocked. Once these locks are held, a stronger one waits for
    readers and writers only, and not for a vacuum to be cancelled.

    Args:
        connection: In a transaction, after ``let_vacuums_yield``.
        table: It belongs to the role.
    """
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(table))
    row = connection.execute(
        statements.read("locks.no_change"), {"table": table.as_string(None)}
    ).fetchone()
    if row:
        connection.execute(sql.SQL("ALTER TABLE {} {}").format(table, sql.SQL(row[0])))


def with_holders(
    error: TableBusy, connection: psycopg.Connection[TupleRow], tables: Sequence[str]
) -> TableBusy:
    """Return the error with the holders of locks; without their queries, which may hold secrets.

    Args:
        error: Of a statement that did not get its lock.
        connection: In no transaction that failed.
        tables: Their names, quoted.
    """
    with ours("looking for who keeps the table locked"):
        rows = connection.execute(
            statements.read("locks.holders"), {"tables": list(tables)}
        ).fetchall()
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
    # A vacuum has no user. The server shows its kind to privileged roles only.
    who = [user, application, state] if user else [kind or "a process of the server's own"]
    return f"pid {pid} ({', '.join(filter(None, who))})"
