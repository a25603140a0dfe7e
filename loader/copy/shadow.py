"""A relation and its columns -> the shadow table that a load fills: its DDL, its key and its index.

The shadow carries its final types from the start: COPY goes straight into the shape that CKAN's
DataStore has. Its name starts with an underscore, which hides it from CKAN, and holds a hash of
the resource id, which is also the key of the resource's advisory lock: whoever holds the lock
knows that every other shadow of that resource is an orphan. Holds one line for each column.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.rows import TupleRow
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.schema import CreateTable

from loader.copy import dictionary, locks, resource_lock
from loader.copy.database import DDL_DIALECT, ours
from loader.copy.relation import (
    SCHEMA,
    SHADOW_PREFIX,
    Relation,
    digest,
    qualified,
)
from loader.errors import TableBusy
from loader.types import told
from loader.types.column import Column
from loader.types.registry import type_named

_log = logging.getLogger(__name__)

_INDEX_METHODS = {"gin": sql.SQL("gin"), "gist": sql.SQL("gist")}
# Storage parameters of the shadow and of its TOAST table.
_AUTOVACUUM = (sql.SQL("autovacuum_enabled"), sql.SQL("toast.autovacuum_enabled"))
_DROPPING = "dropping the shadow table"


class _Stored(sa.types.UserDefinedType[Any]):
    """A type that a load stores values as: Postgres knows it by the name in its row."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = type_named(name).name  # SQLAlchemy copies types by their attributes

    def get_col_spec(self, **_: object) -> str:
        """Return what ``CREATE TABLE`` says."""
        return self.name


def create(
    relation: Relation,
    columns: Sequence[Column],
    full_text: sql.Composed | None,
    *,
    unlogged: bool = False,
    comment: str | None = None,
) -> None:
    """Create the shadow table, without keys and indexes.

    Autovacuum is off for it until ``allow_autovacuum``: one in the middle of a load of 500,000 rows
    delayed the swap by 12 s, and finds nothing to remove.

    Args:
        relation: Its connection is in autocommit mode, so that the lanes see the table at once.
        columns: With types that loads store.
        full_text: The expression that fills ``_full_text``; None leaves it NULL.
        unlogged: Write no log of it, for rows that are moved into another table.
        comment: The ``mark`` of the CKAN that is loaded into; None without a CKAN.
    """
    generated = []
    if full_text is not None:
        value: sa.ColumnClause[str] = sa.literal_column(full_text.as_string(relation.connection))
        generated = [sa.Computed(value, persisted=True)]
    table = sa.Table(
        relation.names.shadow,
        sa.MetaData(schema=SCHEMA),
        sa.Column("_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("_full_text", TSVECTOR(), *generated),
        *(sa.Column(column.name, _Stored(column.type)) for column in columns),
        prefixes=["UNLOGGED"] if unlogged else [],
    )
    sequence = qualified(relation.names.shadow_sequence)
    shadow = relation.shadow
    off = sql.SQL(", ").join(sql.SQL("{} = false").format(name) for name in _AUTOVACUUM)
    with ours("creating the table"), relation.connection.transaction():
        _run(relation.connection, str(CreateTable(table).compile(dialect=DDL_DIALECT)))
        relation.connection.execute(sql.SQL("ALTER TABLE {} SET ({})").format(shadow, off))
        relation.connection.execute(
            sql.SQL("CREATE SEQUENCE {} AS integer OWNED BY {}._id").format(sequence, shadow)
        )
        relation.connection.execute(
            sql.SQL("ALTER TABLE {} ALTER _id SET DEFAULT nextval({}::regclass)").format(
                shadow, sql.Literal(sequence.as_string(None))
            )
        )
        # It tells later which CKAN the live table belongs to: a table that an operator has loaded
        # by hand, or into another CKAN with the same database, must not be dropped together with a
        # resource of this one.
        if comment is not None:
            relation.connection.execute(
                sql.SQL("COMMENT ON SEQUENCE {} IS {}").format(sequence, sql.Literal(comment))
            )


def allow_autovacuum(relation: Relation) -> None:
    """Turn autovacuum on again; the statement's lock keeps it away to the transaction's end.

    Args:
        relation: Its connection is in a transaction, after ``locks.let_vacuums_yield``: the
            autovacuum that runs all the same is one against the wraparound of transaction ids.
    """
    relation.connection.execute(
        sql.SQL("ALTER TABLE {} RESET ({})").format(
            relation.shadow, sql.SQL(", ").join(_AUTOVACUUM)
        )
    )


def add_primary_key(relation: Relation) -> None:
    """Add the key on ``_id``."""
    statement = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY (_id)").format(
        relation.shadow, sql.Identifier(relation.names.shadow_primary_key)
    )
    _alter(relation.connection, "adding the primary key", relation.names.shadow, statement)


def finish_full_text(relation: Relation) -> None:
    """Make ``_full_text`` the plain column that CKAN expects; instant, the values stay."""
    statement = sql.SQL("ALTER TABLE {} ALTER _full_text DROP EXPRESSION IF EXISTS").format(
        relation.shadow
    )
    _alter(relation.connection, "finishing the full text column", relation.names.shadow, statement)


def add_full_text_index(
    connection: psycopg.Connection[TupleRow], table: str, index: str, method: str
) -> None:
    """Add the index on ``_full_text``, unless it is there.

    Args:
        connection: In autocommit mode.
        table: The shadow, or the live table, which can be read meanwhile.
        index: The index's name.
        method: ``gin`` or ``gist``.
    """
    # CKAN adds it to a live table too, when somebody saves the Data Dictionary.
    statement = sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING {} (_full_text)").format(
        sql.Identifier(index), qualified(table), _INDEX_METHODS[method]
    )
    _alter(connection, "adding the full text index", table, statement)


def analyze(connection: psycopg.Connection[TupleRow], table: str) -> None:
    """Collect a table's statistics for the planner."""
    statement = sql.SQL("ANALYZE {}").format(qualified(table))
    _alter(connection, "analysing the table", table, statement)


def _alter(
    connection: psycopg.Connection[TupleRow], doing: str, table: str, statement: sql.Composed
) -> None:
    locks.retry(connection, doing, [qualified(table)], lambda: connection.execute(statement))


def label(relation: Relation, columns: Iterable[Column]) -> None:
    """Write into CKAN's Data Dictionary what the file tells of the columns.

    The original headers of renamed ones, and how values are written that were written anew.
    """
    for column in columns:
        info = {"label": column.label} if column.label else {}
        info = told.with_reading(info, column.read_as)
        if not info:
            continue
        comment = dictionary.entry_comment(info)
        statement = sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
            relation.shadow, sql.Identifier(column.name), sql.Literal(comment)
        )
        _alter(relation.connection, "writing the labels", relation.names.shadow, statement)


def drop(relation: Relation) -> None:
    """Drop the shadow, if it is there.

    Raises:
        TableBusy: Others kept it locked through every try.
    """
    statement = sql.SQL("DROP TABLE IF EXISTS {}").format(relation.shadow)
    _alter(relation.connection, _DROPPING, relation.names.shadow, statement)


def drop_if_free(relation: Relation) -> None:
    """Drop the shadow, if it is there, in one try: a later load can drop it as well.

    Raises:
        TableBusy: Another session, such as pg_dump, has it locked.
    """
    statement = sql.SQL("DROP TABLE IF EXISTS {}").format(relation.shadow)
    locks.attempt(relation.connection, _DROPPING, lambda: relation.connection.execute(statement))


def drop_orphans(relation: Relation) -> list[str]:
    """Drop what killed loads of this resource have left; the caller holds the resource's lock.

    A shadow that another session has locked is left to the next load, since it does no harm.
    """
    prefix = f"{SHADOW_PREFIX}{digest(relation.name)}_"
    dropped = []
    for orphan in _shadows(relation.connection):
        if orphan.startswith(prefix):
            try:
                drop_if_free(replace(relation, names=replace(relation.names, shadow=orphan)))
            except TableBusy as error:
                _log.warning("%s stays until the next load: %s", orphan, error)
            else:
                dropped.append(orphan)
    return dropped


def drop_all_orphans(connection: psycopg.Connection[TupleRow], *, dry_run: bool) -> Iterator[str]:
    """Drop every shadow table whose resource is not being loaded.

    Yields:
        The name of each, once it is dropped, or with ``dry_run`` of each that would be.

    Raises:
        TableBusy: Another session kept one of them locked; all others are dropped by then.
    """
    busy = []
    for table in _shadows(connection):
        # With a short limit: this holds the resource's lock, without which no load can begin.
        work = partial(_drop_orphan, connection, table, dry_run=dry_run)
        try:
            if locks.attempt(connection, _DROPPING, work, limit_ms=locks.READERS_WAIT_MS):
                yield table
        except TableBusy:
            busy.append(table)
    for table in busy:
        work = partial(_drop_orphan, connection, table, dry_run=dry_run)
        if locks.retry(
            connection,
            _DROPPING,
            [qualified(table)],
            work,
            limit_ms=locks.READERS_WAIT_MS,
        ):
            yield table


def _drop_orphan(connection: psycopg.Connection[TupleRow], table: str, *, dry_run: bool) -> bool:
    """Drop a shadow whose resource is not being loaded, unless ``dry_run``; tell whether it is."""
    key = resource_lock.key_of(table.removeprefix(SHADOW_PREFIX).split("_")[0])
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (key,)).fetchone()
    is_orphan = bool(row and row[0])
    if is_orphan and not dry_run:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(qualified(table)))
    return is_orphan


def _shadows(connection: psycopg.Connection[TupleRow]) -> list[str]:
    with ours("looking for shadow tables"):
        rows = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname = %s AND c.relname ~ %s ORDER BY 1",
            (
                SCHEMA,
                f"^{SHADOW_PREFIX}[0-9a-f]{{16}}_[0-9a-f]{{8}}$",
            ),
        ).fetchall()
    return [row[0] for row in rows]


def _run(connection: psycopg.Connection[TupleRow], ddl: str) -> None:
    # SQLAlchemy has quoted every identifier in it.
    connection.execute(sql.SQL(ddl))
