"""The shadow's rows -> rows of the live table, in one transaction.

Readers see none of them or all, and are never blocked: nothing here takes a lock that is in a
reader's way. The rows stay in Postgres; held here are names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import commit, dictionary, keep, locks, numbering, swap
from loader.copy.database import ours
from loader.copy.numbering import Numbering
from loader.copy.relation import Names, qualified
from loader.copy.settings import FullText
from loader.errors import DatabaseError, DatabaseUnreachable, KeyViolated, SchemaDiffers, UsageError
from loader.scan import keys
from loader.table_state import TableChange
from loader.types import datatypes, precision

_log = logging.getLogger(__name__)

_ADDING = "adding the rows"
_FULL_TEXT = sql.Identifier("_full_text")

# Who has changed a row, or changes the table, may keep one try of a merge waiting that long;
# readers never do. A try that is given up has to put in all rows again.
LOCK_TIMEOUT_S = 60.0

# Their text is that of the type they are loaded as, and so are the words of a search.
_SAME_TEXT = ("smallint", "integer", "character varying", *datatypes.OURS)
# Of limited length, digits or precision: the value can be compared with what they make of it.
_COMPARABLE = (
    "real",
    "double precision",
    "numeric",
    "character varying",
    "character",
    "time",
    "timestamp",
    "timestamptz",
)

# What pg_trigger calls the events.
_INSERT, _UPDATE = 4, 16

# What they make of a value cannot be compared with it: $1.24 of 1.239.
_ROUNDS = ("money", "interval")


@dataclass(frozen=True)
class Merged:
    """What a merge did with the shadow's rows."""

    inserted: int
    updated: int = 0
    duplicates: int = 0  # rows of the file with the key of a later row, which won


@dataclass(frozen=True)
class _Column:
    """A column of the live table."""

    name: str
    type: str

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.name)

    @property
    def value(self) -> sql.Composed:
        """Return the shadow's value in this column's type."""
        if self.type == datatypes.verified_as(self.type):
            return sql.SQL("s.{}").format(self.identifier)
        if datatypes.bare(self.type) == "nested":
            # As CKAN writes it: the JSON, and an empty text.
            form = "CASE WHEN s.{0} IS NOT NULL THEN ROW(s.{0}, '')::public.nested END"
        else:
            form = "s.{0}::{1}"
        return sql.SQL(form).format(self.identifier, sql.SQL(self.type))

    @property
    def misfit(self) -> sql.Composed | None:
        """Return a condition that holds, or fails, for a value that this type would change."""
        loaded, kind = datatypes.verified_as(self.type), sql.SQL(self.type)
        if self.type == loaded or datatypes.bare(self.type) == "nested":
            return None
        if self.type in precision.INTEGERS:
            bound = sql.Literal(precision.INTEGERS[self.type])
            return sql.SQL("s.{0} NOT BETWEEN -{1} AND {1} - 1").format(self.identifier, bound)
        if datatypes.bare(self.type) in _COMPARABLE:
            form = "s.{0}::{1}::text::{2} <> s.{0}"
        else:
            form = "s.{0}::{1} IS NULL AND s.{0} IS NOT NULL"
        return sql.SQL(form).format(self.identifier, kind, sql.SQL(loaded))


@dataclass(frozen=True)
class _Target:
    """The live table, as it is under the lock.

    Attributes:
        columns: Those that take the shadow's values.
        takes_full_text: Whether ``_full_text`` takes values, and is not generated.
        ids: What numbers new rows.
    """

    columns: Sequence[_Column]
    takes_full_text: bool
    ids: Numbering


def check_columns(
    have: Sequence[tuple[str, str]],
    columns: Sequence[tuple[str, str]],
    computed: Collection[str] = (),
) -> None:
    """Refuse a file whose columns are not those of the live table; their order does not matter.

    Args:
        have: The live table's, as ``dictionary.types`` gives them.
        columns: The file's, with the types that its values were verified for.
        computed: The live table's that the file must not have, as ``dictionary.computed``.

    Raises:
        SchemaDiffers: Names every column that is missing, new or of another type.
    """
    have = [(name, kind) for name, kind in have if name not in computed]
    known, given = dict(have), dict(columns)
    differences = [f"{name!r} is missing" for name, _ in have if name not in given]
    differences += [
        f"{name!r} is new" for name, _ in columns if name not in known and name not in computed
    ]
    differences += [f"{name!r} is computed by the table" for name, _ in columns if name in computed]
    differences += [f"{name!r} is {kind}, which rounds" for name, kind in have if kind in _ROUNDS]
    differences += [
        f"{name!r} is {given[name]}, not {kind}"
        for name, kind in have
        if name in given and given[name] != datatypes.verified_as(kind)
    ]
    if differences:
        raise SchemaDiffers(
            f"the file's columns are not the table's: {', '.join(differences)}",
            hint="correct the file, or let it replace the table",
            option="mode",
        )


def find_key(
    connection: psycopg.Connection[TupleRow], names: Names, key: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the unique key by which rows are to be found; it need not be there yet.

    Args:
        connection: In autocommit mode, or in the merge's transaction.
        names: Of the table.
        key: The columns asked for; none: the table's own.

    Raises:
        UsageError: No key at all, another one, or one that cannot be.
    """
    with ours("looking at the unique keys"):
        keys = _unique_keys(connection, names)
    computed = dictionary.computed(connection, names.live)
    if not keys and key:
        return tuple(key)
    if not keys:
        raise UsageError(
            f"{names.live} has no unique key, by which rows could be found",
            hint="name its columns",
            option="key",
        )
    shown = "; ".join(f"({', '.join(columns)})" for columns in keys)
    if len(keys) > 1 or "" in keys[0]:
        # CKAN takes all of them together and finds no row by that.
        raise UsageError(
            f"{names.live} has unique keys that cannot be used: {shown}",
            hint="set one primary_key with datastore_create",
        )
    if key and sorted(key) != sorted(keys[0]):
        raise UsageError(
            f"{names.live} has another unique key: {shown}",
            hint="name no key, or set another primary_key with datastore_create",
            option="key",
        )
    if computed.intersection(keys[0]):
        raise UsageError(
            f"{names.live} has a unique key that it computes itself: {shown}",
            hint="set another primary_key with datastore_create",
        )
    return keys[0]


def ensure_key(
    connection: psycopg.Connection[TupleRow], names: Names, key: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the live table's unique key; make the one asked for if it has none.

    Args:
        connection: As for ``find_key``.
        names: Of the table.
        key: The columns asked for; none: the table's own.

    Raises:
        UsageError: As ``find_key``.
        KeyViolated: The table has rows with the same key.
        TableBusy: Somebody keeps on writing the table.
    """
    found = find_key(connection, names, key)
    with ours("looking at the unique keys"):
        is_there = bool(_unique_keys(connection, names))
    if not is_there:
        _create_key(connection, names, found)
    return found


def _unique_keys(connection: psycopg.Connection[TupleRow], names: Names) -> list[tuple[str, ...]]:
    """Return the columns of each unique key; '' for an expression or a condition."""
    rows = connection.execute(
        "SELECT ARRAY(SELECT coalesce(attname::text, '')"
        "  FROM unnest(indkey::int2[]) WITH ORDINALITY AS k (number, position)"
        "  LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number AND number > 0"
        "  WHERE position <= indnkeyatts ORDER BY position)"
        " || CASE WHEN indpred IS NULL AND indimmediate AND indisvalid"
        "  THEN '{}'::text[] ELSE '{\"\"}' END"
        " FROM pg_index WHERE indrelid = to_regclass(%s) AND indisunique AND NOT indisprimary"
        " ORDER BY indexrelid",
        (qualified(names.live).as_string(None),),
    )
    return [tuple(row[0]) for row in rows]


def _create_key(connection: psycopg.Connection[TupleRow], names: Names, key: Sequence[str]) -> None:
    shown = ", ".join(key)
    create = sql.SQL("CREATE UNIQUE INDEX {} ON {} ({})").format(
        sql.Identifier(keep.key_index(names, key)),
        qualified(names.live),
        sql.SQL(", ").join(map(sql.Identifier, key)),
    )
    with ours("making the unique key"), connection.transaction():
        _limit_waiting(connection)
        try:
            connection.execute(create)
        except psycopg.errors.UniqueViolation as error:
            raise KeyViolated(
                f"rows of {names.live} have the same ({shown}): {error.diag.message_detail}",
                hint="name other columns, or correct the rows",
                option="key",
            ) from error
        except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedObject) as error:
            raise UsageError(
                f"({shown}) cannot be the key of {names.live}: {error.diag.message_primary}",
                hint="name columns of the table",
                option="key",
            ) from error


def append(
    connection: psycopg.Connection[TupleRow],
    names: Names,
    cut: Sequence[int] = (),
    which: FullText = "all",
    change: TableChange | None = None,
) -> Merged:
    """Add the shadow's rows to the live table; ``_id`` goes on in the order of the file.

    Args:
        connection: In autocommit mode; holds the resource's lock.
        names: The shadow's columns are the live table's.
        cut: ``_id`` of the shadow's rows that CKAN's trigger would refuse, or take too long for.
        which: The columns whose words are found; ``none`` leaves ``_full_text`` to the triggers.
        change: Is kept true of the live table, however the merge ends.

    Raises:
        ValueDoesNotFit: A type of the live table would change a value.
        KeyViolated: A row has the key of another.
        RowRefused: A trigger or a constraint of the table refuses a row.
        SchemaDiffers: The table's columns have changed since the load began.
        NotADataStoreTable: Nothing numbers new rows, or it is no table of the DataStore any more.
        DatabaseError: The sequence of ``_id`` is at its end.
        TableBusy: Somebody keeps the table from being written.
        DatabaseUnreachable: The connection broke: whether before or after the commit, is unknown.
    """

    def insert(target: _Target) -> Merged:
        given: list[tuple[sql.Composable, sql.Composable]] = [
            (column.identifier, column.value) for column in target.columns
        ]
        if target.takes_full_text:
            words = _full_text(connection, names, target.columns, cut, which)
            given.insert(0, (_FULL_TEXT, words))
        done = connection.execute(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} s ORDER BY s._id").format(
                qualified(names.live),
                _listed([column for column, _ in given]),
                _listed([value for _, value in given]),
                qualified(names.shadow),
            )
        )
        return Merged(done.rowcount)

    return _merge(connection, names, insert, change or TableChange())


def upsert(  # noqa: PLR0913, PLR0917  (as ``append``, and the key)
    connection: psycopg.Connection[TupleRow],
    names: Names,
    key: Sequence[str],
    cut: Sequence[int] = (),
    which: FullText = "all",
    change: TableChange | None = None,
) -> Merged:
    """Put the shadow's rows in the place of those with the same key; add the others.

    Of rows of the file with the same key the last one wins. New rows get their ``_id`` in the
    order of the file, the others keep theirs.

    Args:
        connection: In autocommit mode; holds the resource's lock.
        names: The shadow's columns are the live table's.
        key: As ``find_key`` returns it; it is made where there is none.
        cut: As for ``append``.
        which: As for ``append``.
        change: As for ``append``.

    Raises:
        KeyViolated: Rows of the table have the same key, a row has none, or a trigger has made
            two keys the same.
        ValueDoesNotFit, RowRefused, SchemaDiffers, NotADataStoreTable, DatabaseError, TableBusy,
            DatabaseUnreachable: As ``append``.
    """

    def put(target: _Target) -> Merged:
        parts = [column for column in target.columns if column.name in key]
        _refuse_empty_keys(connection, names, parts)
        ensure_key(connection, names, key)
        duplicates = _count_duplicates(connection, names, parts)
        full_text = _full_text(connection, names, target.columns, cut, which)
        row = connection.execute(
            _upsert_statement(
                connection, names, target, parts, cut, full_text, distinct=duplicates > 0
            )
        ).fetchone()
        inserted, updated = row or (0, 0)
        return Merged(inserted, updated, duplicates)

    return _merge(connection, names, put, change or TableChange())


def keep_last(connection: psycopg.Connection[TupleRow], names: Names, key: Sequence[str]) -> int:
    """Leave in the shadow the last of the rows with the same key: an upsert into no table yet.

    Args:
        connection: In autocommit mode; holds the resource's lock.
        names: The shadow has its rows and no keys.
        key: The columns.

    Returns:
        How many rows had the key of a later row, and are gone.

    Raises:
        KeyViolated: A row has no key.
        UsageError: The columns are not there, or cannot be a key.
    """
    columns = [_Column(name, "text") for name in key]
    listed = _listed([column.identifier for column in columns])
    delete = sql.SQL(
        "DELETE FROM {0} WHERE _id IN (SELECT _id FROM ("
        " SELECT _id, lead(_id) OVER (PARTITION BY {1} ORDER BY _id) AS later FROM {0}"
        ") AS s WHERE later IS NOT NULL)"
    ).format(qualified(names.shadow), listed)

    def keep() -> int:
        try:
            _refuse_empty_keys(connection, names, columns)
            return connection.execute(delete).rowcount
        except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction) as error:
            raise UsageError(
                f"({', '.join(key)}) cannot be the key: {error.diag.message_primary}",
                hint="name columns of the file",
                option="key",
            ) from error

    doing = "looking for rows with the same key"
    return locks.patiently(connection, doing, [qualified(names.shadow)], keep)


def _upsert_statement(  # noqa: PLR0913, PLR0917  (what the statement depends on)
    connection: psycopg.Connection[TupleRow],
    names: Names,
    target: _Target,
    key: Sequence[_Column],
    cut: Sequence[int],
    full_text: sql.Composable,
    *,
    distinct: bool,
) -> sql.Composed:
    """Return the statement; it gives how many rows it has inserted and updated.

    A row that is there proposes its own ``_id``: the default would use up the sequence, whose
    numbers a daily upsert of millions of rows ends within two years.
    """
    keys = _listed([column.value for column in key])
    rows = sql.SQL(
        "SELECT {distinct} {values}, {full_text} AS _full_text, s._id FROM {shadow} s{order}"
    )
    source = rows.format(
        distinct=sql.SQL("DISTINCT ON ({})").format(keys) if distinct else sql.SQL(""),
        values=_listed([sql.SQL("{} AS {}").format(c.value, c.identifier) for c in target.columns]),
        full_text=full_text,
        shadow=qualified(names.shadow),
        order=sql.SQL(" ORDER BY {}, s._id DESC").format(keys) if distinct else sql.SQL(""),
    )
    put: list[sql.Composable] = [column.identifier for column in target.columns]
    changes = [sql.SQL("{0} = excluded.{0}").format(column) for column in put]
    if target.takes_full_text:
        put.insert(0, _FULL_TEXT)
        words = _updated_full_text(connection, names, key, cut)
        changes.append(sql.SQL("{} = {}").format(_FULL_TEXT, words))
    values = list(put)
    if not target.ids.is_generated:
        put.insert(0, sql.Identifier("_id"))
        values.insert(0, sql.SQL("coalesce(_known, {})").format(target.ids.next_id))
    return sql.SQL(
        "WITH done AS ("
        # _id may be an identity.
        " INSERT INTO {live} ({put}) OVERRIDING SYSTEM VALUE SELECT {values} FROM ("
        "  SELECT s.*, l._id AS _known FROM ({source}) s LEFT JOIN {live} l ON {same}"
        "  ORDER BY s._id) ordered"
        " ON CONFLICT ({key}) DO UPDATE SET {changes}"
        # Only a row that was locked to be updated has an xmax.
        " RETURNING xmax = 0 AS is_new"
        ") SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM done"
    ).format(
        live=qualified(names.live),
        put=_listed(put),
        values=_listed(values),
        source=source,
        same=sql.SQL(" AND ").join(
            sql.SQL("l.{0} = s.{0}").format(column.identifier) for column in key
        ),
        key=_listed([column.identifier for column in key]),
        changes=_listed(changes),
    )


def _merge(
    connection: psycopg.Connection[TupleRow],
    names: Names,
    work: Callable[[_Target], Merged],
    change: TableChange,
) -> Merged:
    """Do the work in a transaction; then let CKAN's cached number of rows be right."""
    tables = [qualified(names.live), qualified(names.shadow)]

    def work_to_commit() -> Merged:
        change.table = "untouched"  # what an earlier try did was taken back
        merged = _try(connection, names, work)
        change.table = "unknown"
        return merged

    try:
        with commit.known(change):
            merged = locks.patiently(connection, _ADDING, tables, work_to_commit, with_rows=True)
    except DatabaseUnreachable as error:
        if change.table != "unknown":
            raise
        raise DatabaseUnreachable(
            error.message,
            hint="the server may have added the rows before the connection broke:"
            " look at the table, then load again",
        ) from error
    change.table = "merged"
    _count_again(connection, names)
    return merged


def _try(
    connection: psycopg.Connection[TupleRow],
    names: Names,
    work: Callable[[_Target], Merged],
) -> Merged:
    """Do the work on the columns that the table has now: under the lock they stay as they are."""
    try:
        connection.execute(
            sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(qualified(names.live))
        )
    except psycopg.errors.UndefinedTable as error:
        raise SchemaDiffers(
            f"the table {names.live} was dropped or renamed during the load",
            hint="let the file replace the table",
            option="mode",
        ) from error
    connection.execute(
        sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(qualified(names.shadow))
    )
    _limit_waiting(connection)
    swap.check_live(connection, names, replaced=False)
    have = dictionary.columns(connection, names.live) or []
    computed = dictionary.computed(connection, names.live)
    check_columns(have, dictionary.columns(connection, names.shadow) or [], computed)
    columns = [_Column(*column) for column in have if column[0] not in computed]
    for column in columns:
        _refuse_misfit(connection, names, column)
    ids = numbering.of_table(connection, names)
    with _own_errors(names), numbering.watched(connection, names, ids):
        merged = work(_Target(columns, "_full_text" not in computed, ids))
    _forget_count(connection, names)
    return merged


@contextmanager
def _own_errors(names: Names) -> Iterator[None]:
    """Tell what rows broke a key."""
    try:
        yield
    except (psycopg.errors.UniqueViolation, psycopg.errors.CardinalityViolation) as error:
        raise KeyViolated(
            f"rows have the same key in {names.live}:"
            f" {error.diag.message_detail or error.diag.message_primary}",
            hint="correct the file, or put its rows in by their key",
            option="mode",
        ) from error


def _limit_waiting(connection: psycopg.Connection[TupleRow]) -> None:
    locks.limit(connection, LOCK_TIMEOUT_S * 1000)


def _listed(parts: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _full_text(
    connection: psycopg.Connection[TupleRow],
    names: Names,
    columns: Sequence[_Column],
    cut: Sequence[int],
    which: FullText,
) -> sql.Composable:
    """Return the shadow's words, or those of the live row where they may differ.

    Where triggers change the row, CKAN's finds its words after them, but for those rows that it
    could not. The table may also have none of CKAN's.
    """
    shadows = sql.SQL("s._full_text")
    if which == "none":
        return shadows
    words: sql.Composable = sql.SQL("NULL::tsvector")
    if not _is_changed_by_triggers(connection, names, _INSERT):
        same = all(datatypes.bare(column.type) in _SAME_TEXT for column in columns)
        exact = all(
            "(" not in column.type or datatypes.verified_as(column.type) == "text"
            for column in columns
        )
        if same and exact:
            return shadows
        words = _words(columns, which)
    if not cut:
        return words
    return sql.SQL("CASE WHEN {} THEN s._full_text ELSE {} END").format(_is_cut(cut), words)


def _words(columns: Sequence[_Column], which: FullText) -> sql.Composed:
    """Return what CKAN's trigger would find in the live row."""
    chosen = [
        column.name
        for column in columns
        if which == "all" or datatypes.verified_as(column.type) == "text"
    ]
    values = [sql.SQL("{} AS {}").format(column.value, column.identifier) for column in columns]
    return sql.SQL(
        "(SELECT to_tsvector(string_agg(cell.value, ' ')) FROM (SELECT {}) live,"
        " json_each_text(row_to_json(live.*)) cell WHERE cell.key = ANY ({}::text[]))"
    ).format(_listed(values), sql.Literal(chosen))


def _updated_full_text(
    connection: psycopg.Connection[TupleRow],
    names: Names,
    key: Sequence[_Column],
    cut: Sequence[int],
) -> sql.Composable:
    """Return the words of a row that is there, or NULL for CKAN's trigger, as ``_full_text``."""
    if not _is_changed_by_triggers(connection, names, _UPDATE):
        return sql.SQL("excluded._full_text")
    if not cut:
        return sql.SQL("NULL")
    return sql.SQL(
        "CASE WHEN ({excluded}) IN (SELECT {values} FROM {shadow} s WHERE {is_cut})"
        " THEN excluded._full_text END"
    ).format(
        excluded=_listed([sql.SQL("excluded.{}").format(column.identifier) for column in key]),
        values=_listed([column.value for column in key]),
        shadow=qualified(names.shadow),
        is_cut=_is_cut(cut),
    )


def _is_cut(cut: Sequence[int]) -> sql.Composed:
    """Return the condition; not by ANY, which older servers look through for each row."""
    return sql.SQL("s._id IN (SELECT unnest({}::bigint[]))").format(sql.Literal(list(cut)))


def _is_changed_by_triggers(
    connection: psycopg.Connection[TupleRow], names: Names, event: int
) -> bool:
    """Tell whether triggers may change rows, and CKAN's is there to find their words then."""
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE tgname <> 'zfulltext') > 0"
        " AND count(*) FILTER (WHERE tgname = 'zfulltext') > 0"
        " FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal"
        # For each row, before the event.
        " AND tgenabled IN ('O', 'A') AND tgtype & 3 = 3 AND tgtype & %s > 0",
        (qualified(names.live).as_string(None), event),
    ).fetchone()
    return bool(row and row[0])


def _refuse_misfit(connection: psycopg.Connection[TupleRow], names: Names, column: _Column) -> None:
    """Refuse a value that the live column's type cannot hold, or would change."""
    misfit = column.misfit
    if misfit is None:
        return
    query = sql.SQL("SELECT s.{}::text FROM {} s WHERE {} ORDER BY s._id LIMIT 1")
    try:
        row = connection.execute(
            query.format(column.identifier, qualified(names.shadow), misfit)
        ).fetchone()
    except psycopg.DataError as error:
        why = f": {error.diag.message_primary}"
        raise precision.misfit(column.name, column.type, why=why) from error
    if row:
        raise precision.misfit(column.name, column.type, row[0])


def _refuse_empty_keys(
    connection: psycopg.Connection[TupleRow], names: Names, key: Sequence[_Column]
) -> None:
    for column in key:
        row = connection.execute(
            sql.SQL("SELECT _id FROM {} WHERE {} IS NULL ORDER BY _id LIMIT 1").format(
                qualified(names.shadow), column.identifier
            )
        ).fetchone()
        if row:
            raise keys.no_key(row[0], column.name)


def _count_duplicates(
    connection: psycopg.Connection[TupleRow], names: Names, key: Sequence[_Column]
) -> int:
    row = connection.execute(
        sql.SQL(
            "SELECT (SELECT count(*) FROM {0}) - count(*) FROM (SELECT DISTINCT {1} FROM {0} s) k"
        ).format(qualified(names.shadow), _listed([column.value for column in key]))
    ).fetchone()
    return int(row[0]) if row else 0


def _forget_count(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    row = connection.execute("SELECT to_regclass('public._table_stats') IS NOT NULL").fetchone()
    if row and row[0]:
        connection.execute("DELETE FROM public._table_stats WHERE resource_id = %s", (names.live,))


def _count_again(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    def count() -> None:
        row = connection.execute(
            "SELECT to_regprocedure('public.update_cached_table_row_count(name)') IS NOT NULL"
        ).fetchone()
        if row and row[0]:
            connection.execute("SELECT public.update_cached_table_row_count(%s)", (names.live,))

    try:
        locks.once(connection, "counting the rows for CKAN", count)
    except DatabaseError as error:  # the rows are there; the next search counts them
        _log.warning("%s: %s", names.live, error)
