"""The shadow's rows -> rows of the live table, in one transaction.

Readers see all of the new rows or none, and are never blocked: no lock that is taken here conflicts
with reading. The rows are copied inside Postgres. Holds the columns' names only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from loader.choices import FullText
from loader.copy import (
    commit,
    dictionary,
    live_table,
    locks,
    merged_text,
    numbering,
    row_count,
    unique_key,
)
from loader.copy.live_columns import (
    identifier,
    listed,
    named_values,
    refuse_misfit,
    value,
)
from loader.copy.numbering import Numbering
from loader.copy.relation import Relation
from loader.errors import DatabaseUnreachable, KeyViolated, SchemaDiffers
from loader.report import TableChange
from loader.types.column import Column
from loader.types.compare import check_columns

_FULL_TEXT = sql.Identifier("_full_text")
_ROWS = "SELECT {values}, {full_text} AS _full_text, s._id FROM {shadow} s"
# The last of the rows with the same key.
_LAST_ROWS = """
    SELECT DISTINCT ON ({key}) {values}, {full_text} AS _full_text, s._id FROM {shadow} s
    ORDER BY {key}, s._id DESC
"""
_UPSERT = """
    WITH done AS (
        -- OVERRIDING: if _id is GENERATED ALWAYS AS IDENTITY, Postgres accepts no value without it.
        INSERT INTO {live} ({put}) OVERRIDING SYSTEM VALUE
        SELECT {values} FROM (
            SELECT s.*, l._id AS _known FROM ({rows}) s LEFT JOIN {live} l ON {same} ORDER BY s._id
        ) ordered
        ON CONFLICT ({key}) DO UPDATE SET {changes}
        -- A new row has no xmax. An updated one has: its old version was locked first, and the new
        -- version takes that lock over.
        RETURNING xmax = 0 AS is_new
    )
    SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM done
"""


@dataclass(frozen=True)
class Merged:
    """How many of the shadow's rows a merge has inserted, and used to update others."""

    inserted: int
    updated: int = 0
    duplicates: int = 0  # rows of the file with the key of a later row, which won


@dataclass(frozen=True)
class _Target:
    """The live table under the lock, when its columns cannot change any more.

    Attributes:
        columns: Those that take the shadow's values: all but generated columns.
        takes_full_text: Whether ``_full_text`` takes values; a generated column does not.
        ids: Where the ``_id`` of new rows comes from.
    """

    columns: Sequence[Column]
    takes_full_text: bool
    ids: Numbering


def append(
    relation: Relation,
    cut: Sequence[int] = (),
    which: FullText = "all",
    change: TableChange | None = None,
) -> Merged:
    """Add the shadow's rows to the live table, numbered on in the order of the file.

    Args:
        relation: Its connection is in autocommit mode and holds the resource's lock. The shadow has
            the columns of the live table.
        cut: The ``_id`` of those of the shadow's rows that CKAN's trigger would refuse, or be slow
            at.
        which: The columns whose words are searchable; ``none`` leaves ``_full_text`` to triggers.
        change: Updated with what has become of the live table, however the merge ends.

    Raises:
        ValueDoesNotFit: A type of the live table would change a value.
        KeyViolated: A row has the key of another.
        RowRefused: A trigger or a constraint of the table refuses a row.
        SchemaDiffers: The table's columns have changed since the load began.
        NotADataStoreTable: Nothing numbers new rows, or it is not a DataStore table any more.
        DatabaseError: The sequence of ``_id`` is at its end.
        TableBusy: Another session keeps the table from being written.
        DatabaseUnreachable: The connection broke, maybe after the rows were committed.
    """

    def insert(target: _Target) -> Merged:
        given: list[tuple[sql.Composable, sql.Composable]] = [
            (identifier(column), value(column)) for column in target.columns
        ]
        if target.takes_full_text:
            words = merged_text.of_new_row(relation, target.columns, cut, which)
            given.insert(0, (_FULL_TEXT, words))
        done = relation.connection.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} s ORDER BY s._id").format(
                relation.live,
                listed(name for name, _ in given),
                listed(given_value for _, given_value in given),
                relation.shadow,
            )
        )
        return Merged(done.rowcount)

    return _merge(relation, insert, change or TableChange())


def upsert(
    relation: Relation,
    key: Sequence[str],
    cut: Sequence[int] = (),
    which: FullText = "all",
    change: TableChange | None = None,
) -> Merged:
    """Update the live rows that have the key of a shadow's row, and add the other rows.

    If rows of the file have the same key, the last one wins. New rows get their ``_id`` in the
    order of the file; updated rows keep theirs.

    Args:
        relation: As for ``append``.
        key: As ``unique_key.find`` returns it. Its unique index is made if there is none.
        cut: As for ``append``.
        which: As for ``append``.
        change: As for ``append``.

    Raises:
        KeyViolated: Rows of the table have the same key, a row's key is empty, or a trigger has
            made two keys the same.
        ValueDoesNotFit, RowRefused, SchemaDiffers, NotADataStoreTable, DatabaseError, TableBusy,
            DatabaseUnreachable: As ``append``.
    """

    def put(target: _Target) -> Merged:
        parts = [column for column in target.columns if column.name in key]
        unique_key.refuse_empty(relation, parts)
        unique_key.ensure(relation, key)
        duplicates = unique_key.count_duplicates(relation, parts)
        full_text = merged_text.of_new_row(relation, target.columns, cut, which)
        row = relation.connection.execute(
            _upsert_statement(relation, target, parts, cut, full_text, distinct=duplicates > 0)
        ).fetchone()
        inserted, updated = row or (0, 0)
        return Merged(inserted, updated, duplicates)

    return _merge(relation, put, change or TableChange())


def _upsert_statement(  # noqa: PLR0913  (all that the statement depends on)
    relation: Relation,
    target: _Target,
    key: Sequence[Column],
    cut: Sequence[int],
    full_text: sql.Composable,
    *,
    distinct: bool,
) -> sql.Composed:
    """Return the statement, whose result is how many rows it has inserted and updated.

    For a row that is there already, the INSERT proposes its present ``_id``. The default would take
    a new number for it, though it is not used: a daily upsert of 3 million rows would exhaust an
    integer sequence within two years.
    """
    rows = sql.SQL(_LAST_ROWS if distinct else _ROWS).format(
        key=listed(map(value, key)),
        values=named_values(target.columns),
        full_text=full_text,
        shadow=relation.shadow,
    )
    put: list[sql.Composable] = list(map(identifier, target.columns))
    changes = [sql.SQL("{0} = excluded.{0}").format(column) for column in put]
    if target.takes_full_text:
        put.insert(0, _FULL_TEXT)
        words = merged_text.of_updated_row(relation, key, cut)
        changes.append(sql.SQL("{} = {}").format(_FULL_TEXT, words))
    values = list(put)
    if not target.ids.is_generated:
        put.insert(0, sql.Identifier("_id"))
        values.insert(0, sql.SQL("coalesce(_known, {})").format(target.ids.next_id))
    return sql.SQL(_UPSERT).format(
        live=relation.live,
        put=listed(put),
        values=listed(values),
        rows=rows,
        same=sql.SQL(" AND ").join(
            sql.SQL("l.{0} = s.{0}").format(identifier(column)) for column in key
        ),
        key=listed(map(identifier, key)),
        changes=listed(changes),
    )


def _merge(relation: Relation, work: Callable[[_Target], Merged], change: TableChange) -> Merged:
    """Do the work in a transaction, then have CKAN's cached number of rows counted again."""

    def work_to_commit() -> Merged:
        change.table = "untouched"  # an earlier try was rolled back
        merged = _try(relation, work)
        change.table = "unknown"  # from here on, the COMMIT may reach the server and its answer not
        return merged

    try:
        with commit.known(change):
            merged = locks.retry(
                relation.connection,
                "adding the rows",
                relation.tables,
                work_to_commit,
                with_rows=True,
            )
    except DatabaseUnreachable as error:
        if change.table != "unknown":
            raise
        raise DatabaseUnreachable(
            error.message,
            hint="the server may have added the rows before the connection broke:"
            " look at the table, then load again",
        ) from error
    change.table = "merged"
    row_count.count_again(relation)
    return merged


def _try(relation: Relation, work: Callable[[_Target], Merged]) -> Merged:
    """Lock the table, so that its columns cannot change, check them, and do the work."""
    try:
        relation.connection.execute(
            sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(relation.live)
        )
    except psycopg.errors.UndefinedTable as error:
        raise SchemaDiffers(
            f"the table {relation.name} was dropped or renamed during the load",
            hint="let the file replace the table",
            option="mode",
        ) from error
    relation.connection.execute(
        sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(relation.shadow)
    )
    locks.limit(relation.connection, locks.MERGE_WAITS_MS)
    live_table.check(relation, replaced=False)
    have = dictionary.columns(relation.connection, relation.name) or []
    computed = dictionary.computed(relation.connection, relation.name)
    check_columns(
        have, dictionary.columns(relation.connection, relation.names.shadow) or [], computed
    )
    columns = [column for column in have if column.name not in computed]
    for column in columns:
        refuse_misfit(relation, column)
    ids = numbering.of_table(relation)
    with _ours(relation), numbering.ours(relation, ids):
        merged = work(_Target(columns, "_full_text" not in computed, ids))
    row_count.forget(relation.connection, relation.name)
    return merged


@contextmanager
def _ours(relation: Relation) -> Iterator[None]:
    """Turn a broken unique key into an error that names the rows."""
    try:
        yield
    except (psycopg.errors.UniqueViolation, psycopg.errors.CardinalityViolation) as error:
        raise KeyViolated(
            f"rows have the same key in {relation.name}:"
            f" {error.diag.message_detail or error.diag.message_primary}",
            hint="correct the file, or put its rows in by their key",
            option="mode",
        ) from error
