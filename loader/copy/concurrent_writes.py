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

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.choices import OnConcurrentWrites
from loader.copy import free_ids, locks, statements
from loader.copy.free_ids import ALL, UNKNOWN, Free, by_index
from loader.copy.relation import SCHEMA, Relation
from loader.errors import TableChanged

_MOST_COUNTED = 1_000_000  # under the lock; 0.2 s
# How long a load waits, when it begins, for the transactions that are writing then.
WRITERS_S = 5.0
_WRITERS_PAUSE_S = 0.05
_HINT = (
    "the old table is as it was, with these rows, which the next load replaces: save them first, or"
    " choose --on-concurrent-writes keep"
)
_HINT_DROPPED = (
    "nothing is loaded: see who has dropped or renamed the table, and load again if it is to be"
    " there; a table that they made in its place, the next load replaces"
)
_DROPPED = (
    "others dropped the old table during the load: its Data Dictionary, aliases and grants are gone"
    " with it"
)
_WRITERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = %s AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock')
"""


@dataclass(frozen=True)
class Counts:
    """How many rows were inserted, updated and deleted."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def since(self, before: Counts) -> Counts:
        """Return what was done since; the server may have set its statistics back."""
        return Counts(
            max(0, self.inserted - before.inserted),
            max(0, self.updated - before.updated),
            max(0, self.deleted - before.deleted),
        )


@dataclass(frozen=True)
class Before:
    """The live table when a load began.

    Attributes:
        table: Its oid; None where there was none.
        free: The ``_id`` that no row had.
        statistics: How many rows the server has seen inserted, updated and deleted.
        file: The file that its rows were in; another one has those of a table that was emptied, or
            that a ``VACUUM FULL`` has written anew.
        form: What ``ALTER TABLE`` writes the rows anew for: their columns, also if one was changed
            and changed back.
        xid: The first transaction that had not begun then.
        running: Those that had, and had not ended.
        emptied: Whether the table was emptied before, while rows were kept.
        looked_at: What the statistics counted as inserted and deleted when the whole table was
            last looked through.
        dropped: Whether the table was dropped or renamed before, while rows were kept.
        renamed: What it is called then.
    """

    table: int | None = None
    free: Free = ALL
    statistics: Counts = Counts()
    file: int | None = None
    form: str | None = None
    xid: str | None = None
    running: Sequence[str] = ()
    emptied: bool = False
    looked_at: tuple[int, int] | None = None
    dropped: bool = False
    renamed: str | None = None


@dataclass(frozen=True)
class Others:
    """What is to be done about concurrent writes.

    Attributes:
        policy: ``warn``, ``keep`` or ``refuse``.
        before: As ``remember`` has found the table.
    """

    policy: OnConcurrentWrites
    before: Before


@dataclass(frozen=True)
class Changes:
    """What others have done since the load began.

    Attributes:
        free: The rows with one of these ``_id`` are theirs.
        inserted: How many these are.
        about: About how many rows they have inserted, updated and deleted; of those inserted only
            what could not be counted.
        dropped: Whether they have dropped or renamed the table; there may be another one in its
            place.
        renamed: Its new name.
        emptied: Whether they have emptied it by ``TRUNCATE``.
        may_hide: Whether there may be more rows of theirs, which only the whole table can tell.
    """

    free: Free
    inserted: int
    about: Counts = Counts()
    dropped: bool = False
    emptied: bool = False
    may_hide: bool = False
    renamed: str | None = None

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        done = self.inserted or self.dropped or self.emptied
        return bool(done) or self.about != Counts()

    def warnings(self, carried: int = 0) -> list[str]:
        """Return warnings.

        Args:
            carried: How many of the rows inserted are in the new table.
        """
        warnings = [self._gone] if self.dropped else []
        if self.emptied:
            warnings.append("others emptied the old table during the load")
        if carried:
            warnings.append(
                "rows that others inserted during the load, kept behind those of the file:"
                f" {carried}"
            )
        elif self.inserted:
            warnings.append(
                f"rows that others inserted during the load, gone with the old table: {self._many}"
            )
        hints = self._hints()
        if hints:
            warnings.append(
                f"others changed the old table during the load, which is lost: {', '.join(hints)},"
                " by the server's statistics"
            )
        return warnings

    @property
    def _gone(self) -> str:
        if self.renamed is None:
            return _DROPPED
        return (
            f"others renamed the old table to {self.renamed} during the load: its Data Dictionary,"
            " aliases and grants went with it"
        )

    @property
    def _many(self) -> str:
        more = self.inserted > _MOST_COUNTED
        return f"more than {_MOST_COUNTED}" if more else str(self.inserted)

    def _hints(self) -> list[str]:
        return [f"about {count} rows {done}" for done, count in asdict(self.about).items() if count]

    def refused(self, name: str) -> TableChanged:
        """Return the error that tells of them, by the table's name."""
        done = ["the table was dropped"] if self.dropped and self.renamed is None else []
        done += [f"the table was renamed to {self.renamed}"] if self.renamed is not None else []
        done += ["the table was emptied"] if self.emptied else []
        done += [f"{self._many} rows inserted"] if self.inserted else []
        return TableChanged(
            f"others changed {name} during the load: {', '.join(done + self._hints())}",
            hint=_HINT_DROPPED if self.dropped else _HINT,
        )


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
    end = time.monotonic() + WRITERS_S
    while waited_for & writers() and time.monotonic() < end:
        time.sleep(_WRITERS_PAUSE_S)


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
        sql.Literal(_MOST_COUNTED),
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
        free_ids.rows(relation, free), sql.Literal(_MOST_COUNTED + 1)
    )
    with by_index(relation.connection):
        row = relation.connection.execute(query).fetchone()
    return int(row[0]) if row else 0
