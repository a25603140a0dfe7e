"""Finds out what others have written into the live table while a load was replacing it.

In: the live table when the load begins. Out, under the swap's locks: what others have done since.

- Inserted rows are those whose ``_id`` was free before (``free_ids``). That is exact, and the index
  finds them at once. After a ``TRUNCATE``, which gives the table another file and leaves none of
  the old rows, all rows were inserted since.
- Updated and deleted rows could be found only by reading the whole table under the lock. So they
  are taken from the server's statistics, which are some seconds late and not reliable.
- Rows inserted with the ``_id`` of a deleted row, or into a table whose ``_id`` has no index, are
  seen in the statistics only. To carry these over, ``concurrent_rows`` reads the whole table.

Holds a few numbers, and what ``free_ids`` holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import free_ids, locks, statements
from loader.copy.changes import MOST_COUNTED, Before, Changes, Counts
from loader.copy.free_ids import by_index
from loader.copy.gaps import ALL, UNKNOWN, Free
from loader.copy.relation import SCHEMA, Relation
from loader.net.retry import Attempts, Backoff

# How long a load waits, at its beginning, for the transactions that are writing at that moment. If
# one of them takes longer, its rows count as inserted during the load.
WRITERS_S = 5.0
_WRITERS_PAUSE_S = 0.05
# Transactions with a lock that INSERT, UPDATE or DELETE takes, or a stronger one. The virtual
# transaction names them: the pid would stay the same when the session begins another transaction.
_WRITERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = %s AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock')
"""


def remember(relation: Relation) -> Before:
    """Return the state of the live table at this moment.

    Rows of a transaction that is still writing belong to the old table, but no other session sees
    them yet. So the load waits up to ``WRITERS_S`` for such transactions to end. Rows that are
    committed later count as inserted during the load.

    Args:
        relation: Its connection is in autocommit mode; the table may be missing.

    Raises:
        TableBusy: Another session held a lock that prevents reading.
    """
    return locks.retry(
        relation.connection,
        "looking at the live table",
        [relation.live],
        lambda: _state(relation),
    )


def _state(relation: Relation) -> Before:
    table = look_at(relation)
    if table is None:
        return Before()
    if table.is_indexed:
        _wait_for_writers(relation.connection, table.oid)
    # The statistics are read again, now with what those writers did: a transaction sees one
    # snapshot of them until it is cleared.
    relation.connection.execute("SELECT pg_stat_clear_snapshot()")
    latest = look_at(relation) or table
    free = UNKNOWN
    if latest.is_unique is not None:
        free = free_ids.of_table(relation, is_unique=latest.is_unique)
    # The first oid: if the table was dropped while writers were waited for, that is noticed later.
    return Before(
        table.oid, free, latest.statistics, latest.file, latest.form, latest.xid, latest.running
    )


def _wait_for_writers(connection: psycopg.Connection[TupleRow], oid: int) -> None:
    """Wait until the transactions that are writing now have ended; later ones do not count."""

    def writers() -> set[str]:
        return {row[0] for row in connection.execute(_WRITERS, (oid,))}

    waited_for = writers()
    for _ in Attempts(Backoff.steady(_WRITERS_PAUSE_S), limit_s=WRITERS_S):
        if not waited_for & writers():
            break


@dataclass(frozen=True)
class Table:
    """The live table at this moment.

    Attributes:
        oid: Of the table.
        is_unique: Whether ``_id`` is unique by an index; None if it has no index.
        statistics, file, form, xid, running: As in ``Before``.
    """

    oid: int
    statistics: Counts
    is_unique: bool | None
    file: int | None
    form: str
    xid: str
    running: Sequence[str]

    @property
    def is_indexed(self) -> bool:
        """Whether ``_id`` has an index, unique or not."""
        return self.is_unique is not None


def look_at(relation: Relation) -> Table | None:
    """Return the live table, or None if there is none."""
    row = relation.connection.execute(
        statements.read("concurrent_writes.table"), {"live": relation.live_regclass}
    ).fetchone()
    return Table(row[0], Counts(*row[1:4]), *row[4:]) if row else None


def notice(relation: Relation, before: Before) -> Changes:
    """Return what others have done to the live table.

    Args:
        relation: Its connection is in a transaction that keeps writers from the table. The table
            may have been dropped.
        before: The table when the load began.
    """
    table = look_at(relation)
    is_another = before.table is not None and (table is None or table.oid != before.table)
    dropped = is_another or before.dropped
    renamed = _name_of(relation.connection, before.table) if is_another else before.renamed
    if table is None:
        return Changes(ALL, 0, dropped=dropped, renamed=renamed)
    before = before_of(table, before)
    done = table.statistics.since(before.statistics)
    # If all rows were updated and then rewritten by VACUUM FULL, the table looks as after a
    # TRUNCATE and new inserts. So it does not count as emptied if the statistics show an update.
    is_emptied = not is_another and not done.updated and _is_emptied(relation, before, table)
    emptied = is_emptied or before.emptied
    if is_emptied:  # every row was inserted since, whatever its ``_id``
        before = replace(before, free=ALL)
    counted = _count(relation, before.free)
    # The statistics also count inserts that were rolled back. So they are used only if there may be
    # rows that the free ``_id`` do not show: rows with the ``_id`` of a deleted row, or with an
    # ``_id`` from before a TRUNCATE. A TRUNCATE cannot be told from a rewrite of the table if the
    # columns were changed, or rows updated, as well.
    unclear = table.file != before.file and (done.updated > 0 or table.form != before.form)
    is_exact = table.is_unique and before.free.exact and not done.deleted and not unclear
    all_found = before.free == ALL or is_exact
    more = 0 if all_found else max(0, done.inserted - counted)
    # Not decided by ``more``: the statistics come late, so the rows counted may not be in them yet,
    # and would hide as many others. Any change of the figures is a reason to look.
    seen = (table.statistics.inserted, table.statistics.deleted)
    looked_at = before.looked_at or (
        before.statistics.inserted,
        before.statistics.deleted,
    )
    return Changes(
        before.free,
        counted,
        Counts(more, done.updated, done.deleted),
        dropped,
        emptied,
        may_hide=not all_found and seen != looked_at,
        renamed=renamed,
    )


def _name_of(connection: psycopg.Connection[TupleRow], table: int | None) -> str | None:
    """Return a table's present name, with the schema if it is not CKAN's; None if it is gone."""
    row = connection.execute(
        "SELECT concat_ws('.', nullif(nspname, %s), relname) FROM pg_class"
        " JOIN pg_namespace n ON n.oid = relnamespace WHERE pg_class.oid = %s",
        (SCHEMA, table),
    ).fetchone()
    return row[0] if row else None


def _is_emptied(relation: Relation, before: Before, table: Table) -> bool:
    """Tell whether none of the old rows is left, for which ``TRUNCATE`` is the only cause.

    Deleting all rows keeps the file, and a rewrite by ``ALTER TABLE`` changes the form.
    """
    is_same = table.file == before.file or table.form != before.form
    if is_same or before.free == ALL:
        return False
    # A row is old if its transaction (xmin) had ended when the load began. ``VACUUM FULL`` keeps
    # xmin and the order of the rows, so old rows come first and one of them is enough.
    query = sql.SQL(
        "SELECT FROM (SELECT xmin FROM {} LIMIT {}) AS few"
        " WHERE age(xmin) > age({}::xid) AND xmin <> ALL ({}::xid[]) LIMIT 1"
    ).format(
        relation.live,
        sql.Literal(MOST_COUNTED),
        sql.Literal(before.xid),
        sql.Literal(list(before.running)),
    )
    return relation.connection.execute(query).fetchone() is None


def before_of(table: Table, before: Before) -> Before:
    """Return the state before the load; in a table made since, every row was inserted since."""
    return before if table.oid == before.table else Before(table.oid)


def _count(relation: Relation, free: Free) -> int:
    if free == UNKNOWN:
        return 0
    query = sql.SQL("SELECT count(*) FROM (SELECT FROM ({}) AS l LIMIT {}) AS few").format(
        free_ids.rows(relation, free), sql.Literal(MOST_COUNTED + 1)
    )
    with by_index(relation.connection):
        row = relation.connection.execute(query).fetchone()
    return int(row[0]) if row else 0
