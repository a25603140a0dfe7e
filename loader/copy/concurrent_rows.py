"""The rows that others insert into the live table during a load -> the same rows in the shadow.

In: what others have done, from ``concurrent_writes``. Out: their rows behind those of the file,
with new ``_id``, if the new columns can hold them unchanged. Up to ``MOST_UNDER_LOCK`` rows are
carried over under the swap's locks; more of them before that, while writers have to wait and
readers do not. Rows that their ``_id`` does not show are searched for in the whole table. Holds one
line for each column.
"""

from __future__ import annotations

from dataclasses import replace

import psycopg
from psycopg import sql

from loader.copy import concurrent_writes, dictionary, free_ids, locks, triggers
from loader.copy.changes import Before, Changes
from loader.copy.concurrent_writes import Table
from loader.copy.free_ids import by_index
from loader.copy.gaps import UNKNOWN, Free
from loader.copy.relation import Relation
from loader.errors import TableChanged
from loader.types import registry

# More rows than this are copied before the swap, while readers go on: 1,000 rows with their full
# text take about 50 ms.
MOST_UNDER_LOCK = 1000
_HINT_UNKNOWN = (
    "these rows are in the old table, which the next load replaces: save them first, or have the"
    " load only warn of them"
)


def carry_over(relation: Relation, free: Free, last_id: int) -> int:
    """Copy rows that others have inserted into the shadow, behind its own rows.

    Args:
        relation: Its connection is in a transaction that keeps writers from the live table; the
            shadow has its trigger.
        free: The ``_id`` that were free before: rows of the live table with one of them are copied.
        last_id: The highest ``_id`` of the shadow.

    Returns:
        How many rows were copied.

    Raises:
        TableChanged: The new columns cannot hold a row unchanged.
    """
    with by_index(relation.connection):
        return _carry_over(relation, free_ids.rows(relation, free), last_id)


def _carry_over(relation: Relation, rows: sql.Composed, last_id: int) -> int:
    row = relation.connection.execute(
        sql.SQL("SELECT count(*) FROM ({}) AS l").format(rows)
    ).fetchone()
    count = int(row[0]) if row else 0
    if count:
        _check_fit(relation, rows)
        with triggers.suspended(relation):  # they ran when others inserted these rows
            _insert(relation, rows, last_id)
    return count


def catch_up(relation: Relation, before: Before, last_id: int) -> tuple[Before, int]:
    """Copy the rows inserted so far into the shadow, while readers go on and writers wait.

    Args:
        relation: Its connection is in a transaction, after ``locks.let_vacuums_yield``.
        before: The table when the load began, or when rows were last carried over.
        last_id: The highest ``_id`` of the shadow.

    Returns:
        The state of the live table to compare with next time, and how many rows were copied.
        Updated and deleted rows are still counted from the load's beginning.

    Raises:
        TableChanged: As ``carry_over``; or inserted rows cannot be told from updated ones.
    """
    live = relation.live
    locks.block_vacuums(relation.connection, live)
    locks.limit(relation.connection, locks.READERS_WAIT_MS)
    relation.connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(live))
    changes = concurrent_writes.notice(relation, before)
    table = concurrent_writes.look_at(relation)
    assert table is not None  # noqa: S101  # it is locked
    before = concurrent_writes.before_of(table, before)
    free, carried, looked_at = changes.free, 0, before.looked_at
    if changes.inserted:
        carried = carry_over(relation, free, last_id)
        is_known = table.is_indexed
        free = free_ids.still_free(relation, free) if is_known else UNKNOWN
    inserted = before.statistics.inserted
    if changes.may_hide:
        looked_at = (table.statistics.inserted, table.statistics.deleted)
        more = _carry_over_hidden(relation, before, table, changes, last_id + carried)
        # All inserted rows are found then: what the statistics count beside them was rolled back.
        if more is not None:
            carried += more
            inserted = max(inserted, table.statistics.inserted - carried)
    # The rows carried over must not be counted as lost later, so they are added to the inserts
    # known before. The present statistics would not do: they are late, so these rows would count
    # as new inserts once the statistics have them.
    statistics = replace(before.statistics, inserted=inserted + carried)
    after = Before(
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
    return after, carried


def _carry_over_hidden(
    relation: Relation,
    before: Before,
    table: Table,
    changes: Changes,
    last_id: int,
) -> int | None:
    """Copy inserted rows whose ``_id`` was not free before; this reads the whole table.

    Returns:
        How many rows were copied; None if it is unknown whether there are such rows.

    Raises:
        TableChanged: As ``carry_over``; or there are such rows, but they cannot be told from rows
            that were updated or rewritten.
    """
    if before.xid is None:  # another table is there by now: all its rows were carried over
        return None
    # Updated or rewritten rows have a new xmin, as inserted ones do.
    if table.file != before.file and (changes.about.updated or table.form != before.form):
        if not changes.about.inserted:
            return None
        raise TableChanged(
            f"others inserted rows into {relation.name} during the load, and had all rows written"
            " anew: which ones are theirs cannot be told",
            hint=_HINT_UNKNOWN,
            option="on_concurrent_writes",
        )
    rows = _rows_of_later(relation, before, changes.free if changes.free.gaps else None)
    if not changes.about.updated:
        return _carry_over(relation, rows, last_id)
    row = relation.connection.execute(
        sql.SQL("SELECT count(*) FROM ({}) AS l").format(rows)
    ).fetchone()
    if row and row[0] > changes.about.updated:
        raise TableChanged(
            f"others inserted rows into {relation.name} during the load with the _id of deleted"
            " ones, or among too many gaps, and updated others: which is which cannot be told",
            hint=_HINT_UNKNOWN,
            option="on_concurrent_writes",
        )
    return None


def _rows_of_later(relation: Relation, before: Before, free: Free | None) -> sql.Composed:
    """Return the SELECT of rows that later transactions wrote, save those whose ``_id`` was free.

    A frozen row keeps the id of its transaction (xmin), and ids are used again after 4 billion
    transactions, so an old row could look new.
    """
    live = relation.live
    # age() counts back from this transaction's id. Transactions that began after it have a negative
    # age, so the lower end is that of the next id to be given out.
    later = sql.SQL(
        "(l.xmin = ANY ({}::xid[]) OR"
        " age(l.xmin) BETWEEN (SELECT age(pg_snapshot_xmax(pg_current_snapshot())::xid))"
        " AND age({}::xid))"
    ).format(sql.Literal(list(before.running)), sql.Literal(before.xid))
    if free is None:
        return sql.SQL("SELECT * FROM {} l WHERE {}").format(live, later)
    return sql.SQL(
        "SELECT l.* FROM {live} l LEFT JOIN (SELECT _id FROM ({known}) AS rows) AS known"
        " ON known._id = l._id WHERE known._id IS NULL AND {later}"
    ).format(live=live, known=free_ids.rows(relation, free), later=later)


def _check_fit(relation: Relation, rows: sql.Composed) -> None:
    """Raise TableChanged for a value whose column is gone, or that the new type would change."""
    shadows = dictionary.columns(relation.connection, relation.names.shadow) or ()
    types = {column.name: column.type for column in shadows}
    for column in dictionary.columns(relation.connection, relation.name) or ():
        value, new = sql.SQL("l.{}").format(sql.Identifier(column.name)), types.get(column.name)
        if new is None:
            misfit, why = sql.SQL("{} IS NOT NULL").format(value), "the column is gone"
        elif new != column.type:
            misfit, why = _changed(value, column.type, new), f"the column is {new} now"
        else:
            continue
        query = sql.SQL("SELECT {}::text FROM ({}) AS l WHERE {} LIMIT 1").format(
            value, rows, misfit
        )
        try:
            found = relation.connection.execute(query).fetchone()
        except (psycopg.DataError, psycopg.ProgrammingError) as error:
            why = f"{why}: {error.diag.message_primary}"
            raise _unfit(relation, why, column=column.name) from error
        if found:
            raise _unfit(relation, why, column=column.name, value=found[0])


def _changed(value: sql.Composed, old: str, new: str) -> sql.Composed:
    """Return a condition that is true, or raises an error, if the new type changes a value."""
    back = sql.SQL("{}::{}::{}").format(value, sql.SQL(new), sql.SQL(old))
    # Numbers are compared as numbers: 15.0 may become 15. All other values have to keep their text.
    same = (
        "{} IS DISTINCT FROM {}"
        if registry.is_number(old) and registry.is_number(new)
        else ("{}::text IS DISTINCT FROM {}::text")
    )
    return sql.SQL(same).format(back, value)


def _insert(relation: Relation, rows: sql.Composed, last_id: int) -> None:
    live = dictionary.columns(relation.connection, relation.name) or ()
    old = {column.name for column in live}
    shared = [
        (sql.Identifier(column.name), sql.SQL(column.type))
        for column in dictionary.columns(relation.connection, relation.names.shadow) or ()
        if column.name in old
    ]
    insert = sql.SQL(
        "INSERT INTO {} (_id, _full_text{})"
        " SELECT {} + row_number() OVER (ORDER BY l._id), {}{} FROM ({}) AS l ORDER BY l._id"
    ).format(
        relation.shadow,
        sql.Composed([sql.SQL(", {}").format(column) for column, _ in shared]),
        sql.Literal(last_id),
        # NULL if CKAN's trigger is on the shadow, since the trigger fills it.
        sql.SQL("NULL" if triggers.has_full_text(relation) else "l._full_text"),
        sql.Composed([sql.SQL(", l.{}::{}").format(column, kind) for column, kind in shared]),
        rows,
    )
    try:
        relation.connection.execute(insert)
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        reasons = filter(None, (error.diag.message_primary, error.diag.message_detail))
        raise _unfit(relation, ": ".join(reasons)) from error


def _unfit(
    relation: Relation, why: str, *, column: str | None = None, value: str | None = None
) -> TableChanged:
    return TableChanged(
        f"rows that others inserted into {relation.name} meanwhile do not fit the new table: {why}",
        column=column,
        value=value,
        hint="these rows are in the old table, which the next load replaces: save them first, or"
        " correct the file's columns",
    )
