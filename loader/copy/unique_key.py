"""A live table and the columns asked for -> the unique key by which an upsert finds rows.

The key is created if the table has none. The shadow's rows are checked: whether each has a key, and
how many have the key of a later row, which wins. Holds names.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from loader.copy import dictionary, indexes, locks
from loader.copy.database import ours
from loader.copy.live_columns import identifier, listed, value
from loader.copy.relation import Relation
from loader.errors import KeyViolated, UsageError
from loader.scan import keys
from loader.types.column import Column


def find(relation: Relation, key: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the columns of the unique key by which rows are found; it may not exist yet.

    Args:
        relation: Its connection is in autocommit mode, or in the merge's transaction.
        key: The columns asked for; none: the table's own.

    Raises:
        UsageError: There is no key, another one, or one that cannot be used.
    """
    with ours("looking at the unique keys"):
        keys = _unique_keys(relation)
    computed = dictionary.computed(relation.connection, relation.name)
    if not keys and key:
        return tuple(key)
    if not keys:
        raise UsageError(
            f"{relation.name} has no unique key, by which rows could be found",
            hint="name its columns",
            option="key",
        )
    shown = "; ".join(f"({', '.join(columns)})" for columns in keys)
    if len(keys) > 1 or "" in keys[0]:
        # CKAN takes all of them together and finds no row by that.
        raise UsageError(
            f"{relation.name} has unique keys that cannot be used: {shown}",
            hint="set one primary_key with datastore_create",
        )
    if key and sorted(key) != sorted(keys[0]):
        raise UsageError(
            f"{relation.name} has another unique key: {shown}",
            hint="name no key, or set another primary_key with datastore_create",
            option="key",
        )
    if computed.intersection(keys[0]):
        raise UsageError(
            f"{relation.name} has a unique key that it computes itself: {shown}",
            hint="set another primary_key with datastore_create",
        )
    return keys[0]


def ensure(relation: Relation, key: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of the live table's unique key; create the key if it has none.

    Args:
        relation: Its connection: as for ``find``.
        key: The columns asked for; none: the table's own.

    Raises:
        UsageError: As ``find``.
        KeyViolated: The table has rows with the same key.
        TableBusy: Other sessions keep on writing the table.
    """
    found = find(relation, key)
    with ours("looking at the unique keys"):
        is_there = bool(_unique_keys(relation))
    if not is_there:
        _create_key(relation, found)
    return found


def _unique_keys(relation: Relation) -> list[tuple[str, ...]]:
    """Return the columns of each unique key; '' for an expression or a condition."""
    rows = relation.connection.execute(
        "SELECT ARRAY(SELECT coalesce(attname::text, '')"
        "  FROM unnest(indkey::int2[]) WITH ORDINALITY AS k (number, position)"
        "  LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number AND number > 0"
        "  WHERE position <= indnkeyatts ORDER BY position)"
        " || CASE WHEN indpred IS NULL AND indimmediate AND indisvalid"
        "  THEN '{}'::text[] ELSE '{\"\"}' END"
        " FROM pg_index WHERE indrelid = to_regclass(%s) AND indisunique AND NOT indisprimary"
        " ORDER BY indexrelid",
        (relation.live_regclass,),
    )
    return [tuple(row[0]) for row in rows]


def _create_key(relation: Relation, key: Sequence[str]) -> None:
    shown = ", ".join(key)
    create = sql.SQL("CREATE UNIQUE INDEX {} ON {} ({})").format(
        sql.Identifier(indexes.key_name(relation.names, key)),
        relation.live,
        sql.SQL(", ").join(map(sql.Identifier, key)),
    )
    with ours("making the unique key"), relation.connection.transaction():
        locks.limit(relation.connection, locks.MERGE_WAITS_MS)
        try:
            relation.connection.execute(create)
        except psycopg.errors.UniqueViolation as error:
            raise KeyViolated(
                f"rows of {relation.name} have the same ({shown}): {error.diag.message_detail}",
                hint="name other columns, or correct the rows",
                option="key",
            ) from error
        except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedObject) as error:
            raise UsageError(
                f"({shown}) cannot be the key of {relation.name}: {error.diag.message_primary}",
                hint="name columns of the table",
                option="key",
            ) from error


def refuse_empty(relation: Relation, key: Sequence[Column]) -> None:
    """Refuse rows of the shadow that have no key: they would equal no other.

    Raises:
        KeyViolated: Of the first.
    """
    for column in key:
        row = relation.connection.execute(
            sql.SQL("SELECT _id FROM {} WHERE {} IS NULL ORDER BY _id LIMIT 1").format(
                relation.shadow, identifier(column)
            )
        ).fetchone()
        if row:
            raise keys.no_key(row[0], column.name)


def count_duplicates(relation: Relation, key: Sequence[Column]) -> int:
    """Return how many rows of the shadow have the key of a later one."""
    row = relation.connection.execute(
        sql.SQL(
            "SELECT (SELECT count(*) FROM {0}) - count(*) FROM (SELECT DISTINCT {1} FROM {0} s) k"
        ).format(relation.shadow, listed(map(value, key)))
    ).fetchone()
    return int(row[0]) if row else 0


def drop_earlier(relation: Relation, key: Sequence[str]) -> int:
    """Delete rows of the shadow with the key of a later row: an upsert where there is no table yet.

    Args:
        relation: Its connection is in autocommit mode; it holds the resource's lock; the shadow has
            its rows and no keys.
        key: The columns.

    Returns:
        How many rows had the key of a later row, and are gone.

    Raises:
        KeyViolated: A row has no key.
        UsageError: The columns are not there, or cannot be a key.
    """
    columns = [Column(name, "text") for name in key]
    delete = sql.SQL(
        "DELETE FROM {shadow} WHERE _id IN (SELECT _id FROM ("
        " SELECT _id, lead(_id) OVER (PARTITION BY {key} ORDER BY _id) AS later FROM {shadow}"
        ") AS s WHERE later IS NOT NULL)"
    ).format(shadow=relation.shadow, key=listed(map(identifier, columns)))

    def work() -> int:
        try:
            refuse_empty(relation, columns)
            return relation.connection.execute(delete).rowcount
        except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction) as error:
            raise UsageError(
                f"({', '.join(key)}) cannot be the key: {error.diag.message_primary}",
                hint="name columns of the file",
                option="key",
            ) from error

    doing = "looking for rows with the same key"
    return locks.retry(relation.connection, doing, [relation.shadow], work)
