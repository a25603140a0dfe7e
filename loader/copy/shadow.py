"""A relation and its columns -> the shadow table that a load fills: its DDL, its key and its index.

The shadow carries its final types from the start: COPY goes straight into the shape that CKAN's
DataStore has. Its name starts with an underscore, which hides it from CKAN, and holds a hash of
the resource id, which is also the key of the resource's advisory lock: whoever holds the lock
knows that every other shadow of that resource is an orphan. Holds one line for each column.
"""

from __future__ import annotations

import json
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

from loader.copy import locks
from loader.copy.database import DDL_DIALECT, ours
from loader.copy.relation import (
    SCHEMA,
    SHADOW_PREFIX,
    Relation,
    digest,
    lock_key,
    qualified,
)
from loader.errors import TableBusy

_log = logging.getLogger(__name__)

_INDEX_METHODS = {"gin": sql.SQL("gin"), "gist": sql.SQL("gist")}
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "bigint": sa.BigInteger(),
    "numeric": sa.Numeric(),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "time": sa.Time(),
    "timestamp": sa.TIMESTAMP(),
    "timestamptz": sa.TIMESTAMP(timezone=True),
    "json": sa.JSON(),
    "text": sa.Text(),
}
# Storage parameters of the shadow and of its TOAST table.
_AUTOVACUUM = (sql.SQL("autovacuum_enabled"), sql.SQL("toast.autovacuum_enabled"))
_DROPPING = "dropping the shadow table"


def create(
    relation: Relation,
    columns: Sequence[tuple[str, str]],
    full_text: str | None,
    *,
    unlogged: bool = False,
    comment: str | None = None,
) -> None:
    """Create the shadow table, without keys and indexes.

    No autovacuum comes to it before ``let_autovacuum_come``: one in the middle of a load of 500,000
    rows kept the swap waiting for 12 s, and has nothing to do but to read all rows.

    Args:
        relation: Its connection is in autocommit mode; the table is there for the lanes at once.
        columns: Name and Postgres type of each.
        full_text: The expression that fills ``_full_text``; None leaves it NULL.
        unlogged: Spare the write-ahead log, for rows that go on into another table.
        comment: The ``mark`` of the CKAN that is loaded into; None without a CKAN.
    """
    generated = [sa.Computed(sa.literal_column(full_text), persisted=True)] if full_text else []
    table = sa.Table(
        relation.names.shadow,
        sa.MetaData(schema=SCHEMA),
        sa.Column("_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("_full_text", TSVECTOR(), *generated),
        *(sa.Column(column, _TYPES[kind]) for column, kind in columns),
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
        # Tells whose table it is, also when it is live: one that an operator has loaded by hand,
        # or into another CKAN that has the same database, is not to go with a resource of this one.
        if comment is not None:
            relation.connection.execute(
                sql.SQL("COMMENT ON SEQUENCE {} IS {}").format(sequence, sql.Literal(comment))
            )


def let_autovacuum_come(relation: Relation) -> None:
    """Take back what ``create`` has set, and let no vacuum come before the transaction's end.

    Args:
        relation: Its connection is in a transaction, with a limit that lets vacuums give way: what
            comes all the same is one against the wraparound of transaction ids.
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
        table: The shadow, or the live table: others can read it meanwhile.
        index: The index's name.
        method: ``gin`` or ``gist``.
    """
    # To save the Data Dictionary adds it to a live table too.
    statement = sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING {} (_full_text)").format(
        sql.Identifier(index), qualified(table), _INDEX_METHODS[method]
    )
    _alter(connection, "adding the full text index", table, statement)


def analyze(connection: psycopg.Connection[TupleRow], table: str) -> None:
    """Give the planner a table's statistics."""
    statement = sql.SQL("ANALYZE {}").format(qualified(table))
    _alter(connection, "analysing the table", table, statement)


def _alter(
    connection: psycopg.Connection[TupleRow], doing: str, table: str, statement: sql.Composed
) -> None:
    locks.patiently(connection, doing, [qualified(table)], lambda: connection.execute(statement))


def add_trigger(relation: Relation) -> None:
    """Add CKAN's full text trigger where CKAN has installed its function."""
    with ours("adding the full text trigger"):
        row = relation.connection.execute(
            "SELECT to_regprocedure('public.populate_full_text_trigger()') IS NOT NULL"
        ).fetchone()
    if row and row[0]:
        statement = sql.SQL(
            "CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON {}"
            " FOR EACH ROW EXECUTE PROCEDURE public.populate_full_text_trigger()"
        ).format(relation.shadow)
        _alter(
            relation.connection, "adding the full text trigger", relation.names.shadow, statement
        )


def label(relation: Relation, labels: Iterable[tuple[str, str]]) -> None:
    """Keep original headers as the labels of CKAN's Data Dictionary, for renamed columns.

    The comments have the form of CKAN 2.11 and later: JSON behind a space.
    """
    for column, header in labels:
        comment = " " + json.dumps({"_info": {"label": header}}, ensure_ascii=False)
        statement = sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
            relation.shadow, sql.Identifier(column), sql.Literal(comment)
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
    """Drop the shadow, if it is there, in one try: nobody needs it to be gone.

    Raises:
        TableBusy: Somebody, pg_dump for one, has it locked.
    """
    statement = sql.SQL("DROP TABLE IF EXISTS {}").format(relation.shadow)
    locks.once(relation.connection, _DROPPING, lambda: relation.connection.execute(statement))


def drop_orphans(relation: Relation) -> list[str]:
    """Drop what killed loads of this resource have left; the caller holds the lock.

    One that somebody has locked is left to the next load: it is in nobody's way.
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
        TableBusy: Somebody kept one of them locked; all others are dropped by then.
    """
    busy = []
    for table in _shadows(connection):
        # Not for long: a load that begins meanwhile would be refused.
        work = partial(_drop_orphan, connection, table, dry_run=dry_run)
        try:
            if locks.once(connection, _DROPPING, work, limit_ms=locks.READERS_WAIT_MS):
                yield table
        except TableBusy:
            busy.append(table)
    for table in busy:
        work = partial(_drop_orphan, connection, table, dry_run=dry_run)
        if locks.patiently(
            connection,
            _DROPPING,
            [qualified(table)],
            work,
            limit_ms=locks.READERS_WAIT_MS,
        ):
            yield table


def _drop_orphan(connection: psycopg.Connection[TupleRow], table: str, *, dry_run: bool) -> bool:
    """Drop a shadow whose resource is not being loaded, unless ``dry_run``; tell whether it is."""
    key = lock_key(table.removeprefix(SHADOW_PREFIX).split("_")[0])
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
