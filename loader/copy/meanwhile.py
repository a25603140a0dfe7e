"""What others write into the live table while a load replaces it: noticed, kept or refused.

In: the live table, as the load begins. Out, under the swap's locks: how many rows have come since.
They are those whose ``_id`` no row had before (``free_ids``), which is exact, and is found at once.
All are theirs in a table that was emptied: it has another file, and no row of before. Rows changed
or deleted since leave no trace that can be found without reading the whole table under the lock:
the server's statistics tell of them, some seconds late, and of none for certain. They also count
the rows inserted with the ``_id`` of deleted ones, and where ``_id`` has no index: to keep these,
the table is read while only writers have to wait. Holds two lines, and what ``free_ids`` holds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import dictionary, free_ids, locks
from loader.copy.free_ids import ALL, UNKNOWN, Free, by_index
from loader.copy.relation import SCHEMA, Names, qualified
from loader.copy.settings import OnConcurrentWrites
from loader.errors import TableChanged
from loader.types import datatypes

# More rows are copied before the swap, when only writers have to wait: 1,000 rows with their full
# text take about 50 ms.
MOST_UNDER_LOCK = 1000
_MOST_COUNTED = 1_000_000  # under the lock; 0.2 s
# Whoever wrote when the load began is waited for that long.
WRITERS_S = 5.0
_WRITERS_PAUSE_S = 0.05
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
_HINT = (
    "these rows are in the old table, which the next load replaces: save them first, or have the"
    " load keep them"
)
_HINT_UNTOLD = (
    "these rows are in the old table, which the next load replaces: save them first, or have the"
    " load only warn of them"
)
_HINT_DROPPED = (
    "see who has dropped or renamed the table, and load again if it is to be"
    " there; a table that they made in its place, the next load replaces"
)
_DROPPED = (
    "others dropped the old table during the load: its Data Dictionary, aliases and grants are gone"
    " with it"
)
_TABLE = """
    SELECT c.oid, pg_stat_get_tuples_inserted(c.oid), pg_stat_get_tuples_updated(c.oid),
        pg_stat_get_tuples_deleted(c.oid), (
        SELECT bool_or(i.indisunique AND i.indnkeyatts = 1)
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = '_id'
            AND a.attnotnull AND a.atttypid::regtype IN ('smallint', 'integer', 'bigint')),
        pg_relation_filenode(c.oid), concat_ws(',', relam, relpersistence, (
        SELECT string_agg(concat_ws(' ', attnum, atttypid, xmin), ',' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)),
        pg_snapshot_xmax(pg_current_snapshot())::xid::text,
        ARRAY(SELECT pg_snapshot_xip(pg_current_snapshot())::xid::text)
    FROM pg_class c WHERE c.oid = to_regclass(%s)
"""
_WRITERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = %s AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock')
"""


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
    statistics: tuple[int, int, int] = (0, 0, 0)
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
    """What is to be done about those who write meanwhile.

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
    about: tuple[int, int, int] = (0, 0, 0)
    dropped: bool = False
    emptied: bool = False
    may_hide: bool = False
    renamed: str | None = None

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.inserted or any(self.about) or self.dropped or self.emptied)

    def told(self, kept: int = 0) -> list[str]:
        """Return warnings.

        Args:
            kept: How many of the rows inserted are in the new table.
        """
        warnings = [self._gone] if self.dropped else []
        if self.emptied:
            warnings.append("others emptied the old table during the load")
        if kept:
            warnings.append(
                f"rows that others inserted during the load, kept behind those of the file: {kept}"
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
        done = zip(("inserted", "updated", "deleted"), self.about, strict=True)
        return [f"about {count} rows {what}" for what, count in done if count]

    def refused(self, names: Names) -> TableChanged:
        """Return the error that tells of them."""
        done = ["the table was dropped"] if self.dropped and self.renamed is None else []
        done += [f"the table was renamed to {self.renamed}"] if self.renamed is not None else []
        done += ["the table was emptied"] if self.emptied else []
        done += [f"{self._many} rows inserted"] if self.inserted else []
        return TableChanged(
            f"others changed {names.live} during the load: {', '.join(done + self._hints())}",
            hint=_HINT_DROPPED if self.dropped else _HINT,
            option=None if self.dropped else "on_concurrent_writes",
        )


def remember(connection: psycopg.Connection[TupleRow], names: Names) -> Before:
    """Return what the live table is now.

    Whoever is writing it in this moment has rows that nobody sees yet, and that belong to the old
    table: the end of their transactions is waited for, for a few seconds. What comes later has come
    during the load.

    Args:
        connection: In autocommit mode.
        names: Of the table, which need not be there.

    Raises:
        TableBusy: Somebody keeps the table from being read.
    """
    return locks.patiently(
        connection,
        "looking at the live table",
        [qualified(names.live)],
        lambda: _now(connection, names),
    )


def _now(connection: psycopg.Connection[TupleRow], names: Names) -> Before:
    table = _table(connection, names)
    if table is None:
        return Before()
    if table.is_indexed:
        _wait_for_writers(connection, table.oid)
    # Read anew, since the writers that were waited for are not to be counted.
    connection.execute("SELECT pg_stat_clear_snapshot()")
    now = _table(connection, names) or table
    free = UNKNOWN
    if now.is_unique is not None:
        free = free_ids.of_table(connection, names, is_unique=now.is_unique)
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
class _Table:
    oid: int
    statistics: tuple[int, int, int]
    is_unique: bool | None
    file: int | None
    form: str
    xid: str
    running: Sequence[str]

    @property
    def is_indexed(self) -> bool:
        """Whether ``_id`` has an index, unique or not."""
        return self.is_unique is not None


def _table(connection: psycopg.Connection[TupleRow], names: Names) -> _Table | None:
    row = connection.execute(_TABLE, (qualified(names.live).as_string(None),)).fetchone()
    return _Table(row[0], (row[1], row[2], row[3]), *row[4:]) if row else None


def notice(connection: psycopg.Connection[TupleRow], names: Names, before: Before) -> Changes:
    """Return what others have done to the live table.

    Args:
        connection: In a transaction that keeps writers from the table.
        names: Of the table, which need not be there any more.
        before: As it was.
    """
    table = _table(connection, names)
    is_another = before.table is not None and (table is None or table.oid != before.table)
    dropped = is_another or before.dropped
    renamed = _name_of(connection, before.table) if is_another else before.renamed
    if table is None:
        return Changes(ALL, 0, dropped=dropped, renamed=renamed)
    before = _of_table(before, table)
    statistics = zip(table.statistics, before.statistics, strict=True)
    inserted, updated, deleted = (max(0, now - then) for now, then in statistics)
    # Rows that were updated, and written anew by VACUUM FULL, look as if they had come since.
    is_emptied = not is_another and not updated and _is_emptied(connection, names, before, table)
    emptied = is_emptied or before.emptied
    if is_emptied:  # all rows that there are have come since, whatever their ``_id``
        before = replace(before, free=ALL)
    counted = _count(connection, names, before.free)
    # The statistics count rows too that were inserted in vain: they are asked only where there
    # may be others than those found, with the ``_id`` of a deleted row for one, or with those from
    # before a TRUNCATE, of which no sign is left if the columns or all rows were changed too.
    unclear = table.file != before.file and (updated > 0 or table.form != before.form)
    is_told = table.is_unique and before.free.exact and not deleted and not unclear
    all_found = before.free == ALL or is_told
    more = 0 if all_found else max(0, inserted - counted)
    # That number alone does not tell: the rows found may not be in the statistics yet.
    seen = (table.statistics[0], table.statistics[2])
    looked_at = before.looked_at or (before.statistics[0], before.statistics[2])
    return Changes(
        before.free,
        counted,
        (more, updated, deleted),
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


def _is_emptied(
    connection: psycopg.Connection[TupleRow], names: Names, before: Before, table: _Table
) -> bool:
    """Tell whether no row of before is left, though nothing but ``TRUNCATE`` may be why."""
    is_same = table.file == before.file or table.form != before.form
    if is_same or before.free == ALL:
        return False
    # ``VACUUM FULL`` keeps xmin and the order: of the first rows that are read, one tells.
    query = sql.SQL(
        "SELECT FROM (SELECT xmin FROM {} LIMIT {}) AS few"
        " WHERE age(xmin) > age({}::xid) AND xmin <> ALL ({}::xid[]) LIMIT 1"
    ).format(
        qualified(names.live),
        sql.Literal(_MOST_COUNTED),
        sql.Literal(before.xid),
        sql.Literal(list(before.running)),
    )
    return connection.execute(query).fetchone() is None


def _of_table(before: Before, table: _Table) -> Before:
    """Return what the table was before; of another one all has come meanwhile."""
    return before if table.oid == before.table else Before(table.oid)


def _count(connection: psycopg.Connection[TupleRow], names: Names, free: Free) -> int:
    if free == UNKNOWN:
        return 0
    query = sql.SQL("SELECT count(*) FROM (SELECT {} LIMIT {}) AS few").format(
        free_ids.rows(names, free), sql.Literal(_MOST_COUNTED + 1)
    )
    with by_index(connection):
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def keep(connection: psycopg.Connection[TupleRow], names: Names, free: Free, last_id: int) -> int:
    """Put the rows that have come into the shadow too, behind those that it has.

    Args:
        connection: In a transaction that keeps writers from the live table.
        names: Of both tables; the shadow has its trigger.
        free: The rows of the live table with one of these ``_id`` are meant.
        last_id: The highest ``_id`` of the shadow.

    Returns:
        How many rows these were.

    Raises:
        TableChanged: The new table cannot hold a row as it is.
    """
    with by_index(connection):
        return _keep(connection, names, free_ids.rows(names, free), last_id)


def _keep(
    connection: psycopg.Connection[TupleRow], names: Names, rows: sql.Composed, last_id: int
) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) {}").format(rows)).fetchone()
    count = int(row[0]) if row else 0
    if count:
        _check_fit(connection, names, rows)
        with _without_triggers(connection, names):  # which they have been through
            _insert(connection, names, rows, last_id)
    return count


def catch_up(
    connection: psycopg.Connection[TupleRow], names: Names, before: Before, last_id: int
) -> tuple[Before, int]:
    """Keep rows while readers go on and only writers have to wait.

    Args:
        connection: In a transaction with a limit that lets vacuums give way.
        names: As for ``keep``.
        before: The rows that have come since are meant.
        last_id: The highest ``_id`` of the shadow.

    Returns:
        What the live table is now, and how many rows were kept. Rows changed and deleted are still
        counted from the load's beginning.

    Raises:
        TableChanged: As ``keep``; or rows inserted cannot be told from those updated.
    """
    live = qualified(names.live)
    locks.keep_vacuums_away(connection, live)
    locks.limit(connection, locks.READERS_WAIT_MS)
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(live))
    changes = notice(connection, names, before)
    table = _table(connection, names)
    assert table is not None  # noqa: S101  # it is locked
    before = _of_table(before, table)
    free, kept, looked_at = changes.free, 0, before.looked_at
    if changes.inserted:
        kept = keep(connection, names, free, last_id)
        is_known = table.is_indexed
        free = free_ids.still_free(connection, names, free) if is_known else UNKNOWN
    inserted, updated, deleted = before.statistics
    if changes.may_hide:
        looked_at = (table.statistics[0], table.statistics[2])
        more = _keep_hidden(connection, names, before, table, changes, last_id + kept)
        if more is not None:  # all that have come are found: others were inserted in vain
            kept += more
            inserted = max(inserted, table.statistics[0] - kept)
    # Those kept are no longer among the rows inserted that may be lost. The statistics of now may
    # not have them yet, and would hide what else was done.
    statistics = (inserted + kept, updated, deleted)
    now = Before(
        table.oid,
        free,
        statistics,
        table.file,
        table.form,
        table.xid,
        table.running,
        changes.emptied,
        looked_at,
        changes.dropped,
        changes.renamed,
    )
    return now, kept


def _keep_hidden(  # noqa: PLR0913, PLR0917  (what is known of the table, then and now)
    connection: psycopg.Connection[TupleRow],
    names: Names,
    before: Before,
    table: _Table,
    changes: Changes,
    last_id: int,
) -> int | None:
    """Keep the rows that have come, but not with an ``_id`` that was free: reads the whole table.

    Returns:
        How many rows these were; None if there may be some all the same.

    Raises:
        TableChanged: As ``keep``; or there are some among those that were updated or written anew.
    """
    if before.xid is None:
        return None
    if table.file != before.file and (changes.about[1] or table.form != before.form):
        if not changes.about[0]:
            return None
        raise TableChanged(
            f"others inserted rows into {names.live} during the load, and had all rows written"
            " anew: which ones are theirs cannot be told",
            hint=_HINT_UNTOLD,
            option="on_concurrent_writes",
        )
    rows = _rows_of_later(names, before, changes.free if changes.free.gaps else None)
    if not changes.about[1]:
        return _keep(connection, names, rows, last_id)
    row = connection.execute(sql.SQL("SELECT count(*) {}").format(rows)).fetchone()
    if row and row[0] > changes.about[1]:
        raise TableChanged(
            f"others inserted rows into {names.live} during the load with the _id of deleted ones,"
            " or among too many gaps, and updated others: which is which cannot be told",
            hint=_HINT_UNTOLD,
            option="on_concurrent_writes",
        )
    return None


def _rows_of_later(names: Names, before: Before, free: Free | None) -> sql.Composed:
    """Return a FROM and WHERE: rows ``l`` that have come since, but for those kept by ``free``.

    A row that was frozen keeps its transaction's id, which may come again: 4 billion later.
    """
    live = qualified(names.live)
    # Ages are counted from this transaction, which may have begun before theirs.
    later = sql.SQL(
        "(l.xmin = ANY ({}::xid[]) OR"
        " age(l.xmin) BETWEEN (SELECT age(pg_snapshot_xmax(pg_current_snapshot())::xid))"
        " AND age({}::xid))"
    ).format(sql.Literal(list(before.running)), sql.Literal(before.xid))
    if free is None:
        return sql.SQL("FROM {} l WHERE {}").format(live, later)
    return sql.SQL(
        "FROM {live} l LEFT JOIN (SELECT l._id {kept}) AS kept ON kept._id = l._id"
        " WHERE kept._id IS NULL AND {later}"
    ).format(live=live, kept=free_ids.rows(names, free), later=later)


def _check_fit(connection: psycopg.Connection[TupleRow], names: Names, rows: sql.Composed) -> None:
    """Refuse a value that has no column any more, or that its column's new type would change."""
    new = dict(dictionary.columns(connection, names.shadow) or ())
    for column, kind in dictionary.columns(connection, names.live) or ():
        value = sql.SQL("l.{}").format(sql.Identifier(column))
        if column not in new:
            misfit, why = sql.SQL("{} IS NOT NULL").format(value), "the column is gone"
        elif kind != new[column]:
            misfit, why = _changed(value, kind, new[column]), f"the column is {new[column]} now"
        else:
            continue
        query = sql.SQL("SELECT {}::text {} AND {} LIMIT 1").format(value, rows, misfit)
        try:
            found = connection.execute(query).fetchone()
        except (psycopg.DataError, psycopg.ProgrammingError) as error:
            why = f"{why}: {error.diag.message_primary}"
            raise _unfit(names, why, column=column) from error
        if found:
            raise _unfit(names, why, column=column, value=found[0])


def _changed(value: sql.Composed, old: str, new: str) -> sql.Composed:
    """Return a condition that holds, or fails, for a value that is another one in the new type."""
    back = sql.SQL("{}::{}::{}").format(value, sql.SQL(new), sql.SQL(old))
    # 15.0 may become 15; all that is not a number has to keep its text.
    same = (
        "{} IS DISTINCT FROM {}"
        if _is_number(old) and _is_number(new)
        else ("{}::text IS DISTINCT FROM {}::text")
    )
    return sql.SQL(same).format(back, value)


def _is_number(kind: str) -> bool:
    return datatypes.bare(kind) in _NUMBERS


def _insert(
    connection: psycopg.Connection[TupleRow], names: Names, rows: sql.Composed, last_id: int
) -> None:
    old = {column for column, _ in dictionary.columns(connection, names.live) or ()}
    shared = [
        (sql.Identifier(column), sql.SQL(kind))
        for column, kind in dictionary.columns(connection, names.shadow) or ()
        if column in old
    ]
    insert = sql.SQL(
        "INSERT INTO {} (_id, _full_text{}) SELECT {} + row_number() OVER (ORDER BY l._id), {}{} {}"
        " ORDER BY l._id"
    ).format(
        qualified(names.shadow),
        _listed([sql.SQL(", {}").format(column) for column, _ in shared]),
        sql.Literal(last_id),
        # Its trigger finds the words of a row that has none.
        sql.SQL("NULL" if _has_trigger(connection, names) else "l._full_text"),
        _listed([sql.SQL(", l.{}::{}").format(column, kind) for column, kind in shared]),
        rows,
    )
    try:
        connection.execute(insert)
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        said = filter(None, (error.diag.message_primary, error.diag.message_detail))
        raise _unfit(names, ": ".join(said)) from error


@contextmanager
def _without_triggers(connection: psycopg.Connection[TupleRow], names: Names) -> Iterator[None]:
    """Let no trigger of the shadow's act but CKAN's, which finds words.

    Args:
        connection: In a transaction, which takes all back if it fails.
        names: Of the shadow.
    """
    shadow = qualified(names.shadow)
    found = connection.execute(
        "SELECT tgname, tgenabled = 'A' FROM pg_trigger WHERE tgrelid = to_regclass(%s)"
        " AND tgenabled IN ('O', 'A') AND NOT tgisinternal AND tgname <> 'zfulltext'",
        (shadow.as_string(None),),
    ).fetchall()
    change = sql.SQL("ALTER TABLE {} {} TRIGGER {}")
    for name, _ in found:
        connection.execute(change.format(shadow, sql.SQL("DISABLE"), sql.Identifier(name)))
    yield
    for name, always in found:
        enable = sql.SQL("ENABLE ALWAYS" if always else "ENABLE")
        connection.execute(change.format(shadow, enable, sql.Identifier(name)))


def _listed(parts: Sequence[sql.Composable]) -> sql.Composed:
    return sql.Composed(parts)


def _has_trigger(connection: psycopg.Connection[TupleRow], names: Names) -> bool:
    row = connection.execute(
        "SELECT FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = 'zfulltext'",
        (qualified(names.shadow).as_string(None),),
    ).fetchone()
    return row is not None


def _unfit(
    names: Names, why: str, *, column: str | None = None, value: str | None = None
) -> TableChanged:
    return TableChanged(
        f"rows that others inserted into {names.live} meanwhile do not fit the new table: {why}",
        column=column,
        value=value,
        hint="these rows are in the old table, which the next load replaces: save them first, or"
        " correct the file's columns",
    )
