"""What others write into the live table while a load replaces it: noticed or refused.

In: the live table when the load begins. Out, under the swap's locks: how many rows others have
inserted since. These are the rows whose ``_id`` no row had before (``free_ids``): that is exact,
and the index finds them at once. In a table that was emptied, which has another file and no row of
before, all rows are theirs. Rows updated or deleted since could be found only by reading the whole
table under the lock; the server's statistics count them, some seconds late and not reliably. The
statistics also count rows inserted with the ``_id`` of deleted ones, and into a table whose
``_id`` has no index: to carry these over, ``concurrent_rows`` reads the table. Holds two lines, and
what ``free_ids`` holds.
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

# How long a load waits, when it begins, for the transactions that are writing then.
WRITERS_S = 5.0
_WRITERS_PAUSE_S = 0.05
_WRITERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = %s AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock')
"""


def remember(relation: Relation) -> Before:
    """Return what the live table is now.

    Transactions that are writing at this moment have rows that no other session sees yet, and that
    belong to the old table: their end is waited for, for a few seconds. Rows that are committed
    later count as inserted during the load.

    Args:
        relation: Its connection is in autocommit mode; the table need not be there.

    Raises:
        TableBusy: Another session keeps the table from being read.
    """
    return locks.retry(
        relation.connection,
        "looking at the live table",
        [relation.live],
        lambda: _now(relation),
    )


def _now(relation: Relation) -> Before:
    table = look_at(relation)
    if table is None:
        return Before()
    if table.is_indexed:
        _wait_for_writers(relation.connection, table.oid)
    # Read again, without the writers that were waited for.
    relation.connection.execute("SELECT pg_stat_clear_snapshot()")
    now = look_at(relation) or table
    free = UNKNOWN
    if now.is_unique is not None:
        free = free_ids.of_table(relation, is_unique=now.is_unique)
    return Before(table.oid, free, now.statistics, now.file, now.form, now.xid, now.running)


def _wait_for_writers(connection: psycopg.Connection[TupleRow], oid: int) -> None:
    """Wait until all who are writing have ended."""

    def writers() -> set[str]:
        return {row[0] for row in connection.execute(_WRITERS, (oid,))}

    waited_for = writers()
    for _ in Attempts(Backoff.steady(_WRITERS_PAUSE_S), limit_s=WRITERS_S):
        if not waited_for & writers():
            break


@dataclass(frozen=True)
class Table:
    """The live table, as it is now; its attributes are those of ``Before``."""

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
    """Return the live table; None if it is not there."""
    row = relation.connection.execute(
        statements.read("concurrent_writes.table"), {"live": relation.live_regclass}
    ).fetchone()
    return Table(row[0], Counts(*row[1:4]), *row[4:]) if row else None


def notice(relation: Relation, before: Before) -> Changes:
    """Return what others have done to the live table.

    Args:
        relation: Its connection is in a transaction that keeps writers from the table; the table
            need not be there any more.
        before: As it was.
    """
    table = look_at(relation)
    is_another = before.table is not None and (table is None or table.oid != before.table)
    dropped = is_another or before.dropped
    renamed = _name_of(relation.connection, before.table) if is_another else before.renamed
    if table is None:
        return Changes(ALL, 0, dropped=dropped, renamed=renamed)
    before = before_of(table, before)
    done = table.statistics.since(before.statistics)
    # Rows that were updated and then rewritten by VACUUM FULL look as if they were inserted since.
    is_emptied = not is_another and not done.updated and _is_emptied(relation, before, table)
    emptied = is_emptied or before.emptied
    if is_emptied:  # all rows that there are have come since, whatever their ``_id``
        before = replace(before, free=ALL)
    counted = _count(relation, before.free)
    # The statistics also count inserts that were rolled back. So they are used only where there may
    # be rows beside those found: with the ``_id`` of a deleted row, or with those from before a
    # TRUNCATE, which leaves no sign if the columns, or all rows, were changed too.
    unclear = table.file != before.file and (done.updated > 0 or table.form != before.form)
    is_exact = table.is_unique and before.free.exact and not done.deleted and not unclear
    all_found = before.free == ALL or is_exact
    more = 0 if all_found else max(0, done.inserted - counted)
    # ``more`` alone does not decide: the rows found may not be in the statistics yet.
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
    """Return what a table is called now, with a schema that is not CKAN's; None: it is dropped."""
    row = connection.execute(
        "SELECT concat_ws('.', nullif(nspname, %s), relname) FROM pg_class"
        " JOIN pg_namespace n ON n.oid = relnamespace WHERE pg_class.oid = %s",
        (SCHEMA, table),
    ).fetchone()
    return row[0] if row else None


def _is_emptied(relation: Relation, before: Before, table: Table) -> bool:
    """Tell whether no row of before is left, for which only ``TRUNCATE`` can be the reason."""
    is_same = table.file == before.file or table.form != before.form
    if is_same or before.free == ALL:
        return False
    # ``VACUUM FULL`` keeps xmin and the order, so one old row among the first ones is enough.
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
    """Return what a table was before; in another table all rows have come since."""
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
