"""A DataStore's catalog -> what CKAN knows of its tables: their columns, types and dictionaries.

The Data Dictionary is JSON in the comments of columns, written by CKAN, by its plugins and by
people: whatever is not of CKAN's form says nothing here, and is kept as it is elsewhere. Holds
one line per column, or per table.
"""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from loader.copy import locks
from loader.copy.database import ours
from loader.copy.relation import Names, qualified
from loader.types import registry
from loader.types.column import Column


def overrides(connection: psycopg.Connection[TupleRow], names: Names) -> dict[str, str]:
    """Return the types that the Data Dictionary of the live table decides, by column.

    Args:
        connection: In autocommit mode.
        names: Of the table, which need not be there.

    Returns:
        The publisher's own words: ``numeric``, ``text``, ``timestamp`` as CKAN's form offers them.
    """
    found = types(connection, names) or ()
    return {column.name: column.type_override for column in found if column.type_override}


def types(connection: psycopg.Connection[TupleRow], names: Names) -> list[Column] | None:
    """Return the live table's columns, in order.

    Args:
        connection: In autocommit mode.
        names: Of the table.

    Returns:
        As ``columns``.
    """
    return columns(connection, names.live)


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


def computed(connection: psycopg.Connection[TupleRow], table: str) -> frozenset[str]:
    """Return the columns whose values a table makes itself, and takes from nobody.

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
    return locks.patiently(
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
