"""A DataStore's catalog -> what CKAN knows of its tables: their columns, types and dictionaries.

The Data Dictionary is JSON in the comments of columns, written by CKAN, by its plugins and by
people. A comment in another form has no meaning here; ``carry_over`` copies it as it is. Holds one
line per column, or per table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import locks
from loader.copy.database import ours
from loader.copy.relation import Relation, qualified
from loader.types import registry, told
from loader.types.column import Column


def overrides(relation: Relation) -> dict[str, str]:
    """Return the type overrides in the Data Dictionary of the live table, by column.

    Args:
        relation: Its connection is in autocommit mode; the table need not be there.

    Returns:
        As they are written there: CKAN's form offers ``numeric``, ``text`` and ``timestamp``.
    """
    found = types(relation) or ()
    return {column.name: column.type_override for column in found if column.type_override}


def types(relation: Relation) -> list[Column] | None:
    """Return the live table's columns, in order.

    Args:
        relation: Its connection is in autocommit mode.

    Returns:
        As ``columns``.
    """
    return columns(relation.connection, relation.name)


def columns(connection: psycopg.Connection[TupleRow], table: str) -> list[Column] | None:
    """Return a table's columns, in order.

    Returns:
        Without ``_id`` and ``_full_text``. A type that loads make has its name there
        (``timestamp``); any other the one of Postgres (``integer``, ``nested``, ``text[]``). None
        when there is no table.
    """
    with ours("reading the table's columns"):
        rows = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum)"
            " FROM pg_class c"
            " LEFT JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped"
            " WHERE c.oid = to_regclass(%s) ORDER BY attnum",
            (qualified(table).as_string(None),),
        ).fetchall()
    if not rows:
        return None
    own = (None, "_id", "_full_text")
    return [
        Column(name, registry.sql_name(written), info=_info(comment or ""))
        for name, written, comment in rows
        if name not in own
    ]


def _info(comment: str) -> dict[str, Any]:
    """Return what CKAN has written into a column's comment."""
    try:
        said = json.loads(comment)
    except (ValueError, RecursionError):  # an administrator's remark
        return {}
    # Until 2.10 CKAN stored the bare info; from 2.11 on, behind a space, beside that of plugins.
    if not comment.startswith("{") and isinstance(said, dict):
        said = said.get("_info")
    return said if isinstance(said, dict) else {}


def readings(connection: psycopg.Connection[TupleRow], table: str) -> dict[str, str | None]:
    """Return how each column of a table is written in its file, as its entry says.

    Args:
        connection: To the database.
        table: It is there.
    """
    return {column.name: column.info.get("read_as") for column in columns(connection, table) or ()}


def write_readings(
    connection: psycopg.Connection[TupleRow], table: str, read_as: Mapping[str, str | None]
) -> None:
    """Write how columns are written in the file into their entries, whatever else these say.

    A comment that is no entry stays as it is: it is an administrator's remark.

    Args:
        connection: In the swap's transaction.
        table: It is there.
        read_as: By column; None: as Postgres writes the values.
    """
    for name, comment in _comments(connection, table):
        written = _comment_with(comment, read_as.get(name))
        if written is not None and written != comment:
            connection.execute(
                sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
                    qualified(table), sql.Identifier(name), sql.Literal(written)
                )
            )


def _comments(connection: psycopg.Connection[TupleRow], table: str) -> list[tuple[str, str]]:
    rows = connection.execute(
        "SELECT attname, coalesce(col_description(attrelid, attnum), '') FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        (qualified(table).as_string(None),),
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def _comment_with(comment: str, read_as: str | None) -> str | None:
    """Return a comment that says how the column is written; None for a remark."""
    info = _info(comment)
    entry = told.with_reading(info, read_as)
    if entry == info:
        return comment
    if not comment:
        return entry_comment(entry)
    try:
        said = json.loads(comment)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    if comment.startswith("{"):
        return json.dumps(entry, ensure_ascii=False)
    return " " + json.dumps({**said, "_info": entry}, ensure_ascii=False)


def entry_comment(info: Mapping[str, Any]) -> str:
    """Return a column's entry as CKAN 2.11 and later write it: JSON behind a space."""
    return " " + json.dumps({"_info": dict(info)}, ensure_ascii=False)


def computed(connection: psycopg.Connection[TupleRow], table: str) -> frozenset[str]:
    """Return the columns whose values a table computes itself, and that no INSERT may set.

    Returns:
        Generated ones, ``_id`` and ``_full_text`` among them, and identities ALWAYS; but not an
        ``_id`` that is one, which can be overridden.
    """
    with ours("reading the table's columns"):
        rows = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
            " AND NOT attisdropped"
            " AND (attgenerated <> '' OR attidentity = 'a' AND attname <> '_id')",
            (qualified(table).as_string(None),),
        ).fetchall()
    return frozenset(row[0] for row in rows)


def tables(connection: psycopg.Connection[TupleRow]) -> dict[str, int] | None:
    """Return the DataStore's tables as CKAN lists them, without aliases.

    Returns:
        Name -> oid; None in a database that CKAN has not prepared. A load gives its table another
        oid.
    """
    return locks.retry(
        connection,
        "reading CKAN's list of tables",
        [qualified("_table_metadata")],
        lambda: _tables(connection),
    )


def _tables(connection: psycopg.Connection[TupleRow]) -> dict[str, int] | None:
    row = connection.execute("SELECT to_regclass('public._table_metadata') IS NOT NULL").fetchone()
    if not (row and row[0]):
        return None
    rows = connection.execute(
        "SELECT DISTINCT name, oid FROM public._table_metadata WHERE alias_of IS NULL"
    )
    return dict(rows.fetchall())
