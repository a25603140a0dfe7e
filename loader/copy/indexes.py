"""A live table's indexes, keys, constraints, defaults -> the same on the shadow, before the swap.

They are built under temporary names while no session has to wait, and get their own in the swap
(``carry_over``). What cannot be built, such as what uses a column that is gone, is a warning. Holds
one line for each of these things.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import locks, statements
from loader.copy.relation import Names, Relation, qualified
from loader.errors import KeyViolated, RowRefused, UsageError

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _Addition:
    """Something on the live table that the shadow gets before the swap."""

    what: str
    is_key: bool
    statement: str
    gone: list[str]  # columns that it uses and the shadow has not
    done: bool


def build(relation: Relation, key: Sequence[str] = ()) -> list[str]:
    """Give the shadow the live table's indexes, keys, constraints and defaults.

    What the shadow has already is not built again, so this can be called repeatedly.

    Args:
        relation: Its connection is in autocommit mode; the shadow has its rows.
        key: Columns of a unique key that is asked for; it takes the place of all others.

    Returns:
        Warnings: what is left out, and why.

    Raises:
        KeyViolated: Rows of the file have the same key.
        RowRefused: Rows of the file break another constraint.
        UsageError: The key's columns are not there, or cannot be a key.
    """

    def retry(work: Callable[[], list[_Result]]) -> list[_Result]:
        return locks.retry(relation.connection, "building the indexes", relation.tables, work)

    warnings = retry(partial(_add_key, relation, key)) if key else []
    for addition in retry(partial(_additions, relation)):
        if addition.gone:
            columns = ", ".join(addition.gone)
            warnings.append(f"left out: {addition.what}, which uses {columns}: not in the file")
        elif not addition.done:
            warnings += retry(partial(_add, relation.connection, addition))
    return warnings


def missing(relation: Relation) -> frozenset[str]:
    """Return what ``build`` would build now; may wait for the live table's lock."""
    return frozenset(
        addition.what
        for addition in _additions(relation)
        if not addition.done and not addition.gone
    )


def _add(connection: psycopg.Connection[TupleRow], addition: _Addition) -> list[str]:
    try:
        with connection.transaction():
            connection.execute(addition.statement)
    except psycopg.IntegrityError as error:
        raise _violated(error, addition.what, is_key=addition.is_key) from error
    except (
        psycopg.ProgrammingError,
        psycopg.DataError,
        psycopg.NotSupportedError,
        psycopg.errors.ProgramLimitExceeded,
    ) as error:
        if addition.is_key:
            raise _violated(error, addition.what, is_key=True) from error
        # For example an index for trigrams on a column that has become a number.
        return [f"left out: {addition.what}: {error.diag.message_primary}"]
    return []


def _violated(error: psycopg.Error, what: str, *, is_key: bool) -> KeyViolated | RowRefused:
    said = " ".join(filter(None, (error.diag.message_primary, error.diag.message_detail)))
    if is_key:
        return KeyViolated(
            f"the rows of the file do not keep the table's unique key, {what}: {said}",
            hint="correct the file, or drop the key",
        )
    return RowRefused(
        f"the rows of the file break the table's own rule, {what}: {said}",
        hint="correct the file, or drop the constraint",
    )


def _add_key(relation: Relation, key: Sequence[str]) -> list[str]:
    has = unique_columns(relation)
    if has and sorted(set(key)) == sorted(has):
        return []
    shown = ", ".join(key)
    try:
        relation.connection.execute(
            sql.SQL("CREATE UNIQUE INDEX IF NOT EXISTS {} ON {} ({})").format(
                sql.Identifier(relation.names.shadow_key),
                relation.shadow,
                sql.SQL(", ").join(map(sql.Identifier, key)),
            )
        )
    except psycopg.IntegrityError as error:
        raise KeyViolated(
            f"the key ({shown}) is not unique in the file: {error.diag.message_detail}",
            hint="name other columns, or correct the file",
            option="key",
        ) from error
    except psycopg.ProgrammingError as error:
        raise UsageError(
            f"({shown}) cannot be the key: {error.diag.message_primary}",
            hint="name columns of the file",
            option="key",
        ) from error
    return [f"left out: the unique key ({', '.join(has)}), for ({shown})"] if has else []


def unique_columns(relation: Relation) -> list[str]:
    """Return the columns of all the live table's unique keys: to CKAN they are one."""
    rows = relation.connection.execute(
        "SELECT DISTINCT attname FROM pg_index JOIN pg_attribute"
        " ON attrelid = indrelid AND attnum = ANY (indkey)"
        " WHERE indrelid = to_regclass(%s) AND indisunique AND NOT indisprimary ORDER BY 1",
        (relation.live_regclass,),
    )
    return [row[0] for row in rows]


def key_name(names: Names, key: Sequence[str]) -> str:
    """Return CKAN's name for the index of a unique key."""
    columns = ", ".join('"' + column.replace('"', '""') + '"' for column in key)
    digest = hashlib.sha1(f"{names.live}{columns}".encode(), usedforsecurity=False)
    return digest.hexdigest()


def first_key(relation: Relation) -> list[str]:
    """Return the statement that names the asked key of a table that replaces none, if any."""
    key = asked_key(relation)
    if key is None:
        return []
    rename = sql.SQL("ALTER INDEX {} RENAME TO {}").format(
        qualified(relation.names.shadow_key), sql.Identifier(key)
    )
    return [rename.as_string(None)]


def _additions(relation: Relation) -> list[_Addition]:
    rows = relation.connection.execute(
        statements.read("indexes.additions"),
        {**relation.parameters, "key_name": asked_key(relation)},
    )
    return [_Addition(*row) for row in rows]


def asked_key(relation: Relation) -> str | None:
    """Return CKAN's name for the key that the caller has asked for, if it is on the shadow."""
    rows = relation.connection.execute(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indexrelid"
        " WHERE indexrelid = to_regclass(%s) ORDER BY attnum",
        (qualified(relation.names.shadow_key).as_string(None),),
    ).fetchall()
    return key_name(relation.names, [row[0] for row in rows]) if rows else None
