"""A column of a live table -> the shadow's value in its type, and whether that changes the value.

Tables that no load has made have types of limited length or precision, in which Postgres rounds in
silence, and types that loads do not make. In: the column; ``s`` is the shadow. Out: SQL. Holds one
line for each column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg
from psycopg import sql

from loader.copy.relation import Relation
from loader.types import precision, registry
from loader.types.column import Column


def listed(parts: Iterable[sql.Composable]) -> sql.Composed:
    """Return SQL with a comma between its parts."""
    return sql.SQL(", ").join(parts)


def identifier(column: Column) -> sql.Identifier:
    """Return the column's name, quoted."""
    return sql.Identifier(column.name)


def value(column: Column) -> sql.Composed:
    """Return the shadow's value in the live column's type."""
    if column.type == registry.verified_as(column.type):
        return sql.SQL("s.{}").format(identifier(column))
    if registry.bare(column.type) == "nested":
        # As CKAN writes it: the JSON, and an empty text.
        form = "CASE WHEN s.{0} IS NOT NULL THEN ROW(s.{0}, '')::public.nested END"
    else:
        form = "s.{0}::{1}"
    return sql.SQL(form).format(identifier(column), sql.SQL(column.type))


def named_values(columns: Sequence[Column]) -> sql.Composed:
    """Return the values as a SELECT lists them, under the columns' names."""
    return listed(
        sql.SQL("{} AS {}").format(value(column), identifier(column)) for column in columns
    )


def have_the_same_text(columns: Sequence[Column]) -> bool:
    """Tell whether each value has the same text in its live type as it has in the shadow."""
    return all(
        registry.keeps_text(column.type)
        and ("(" not in column.type or registry.verified_as(column.type) == registry.TEXT)
        for column in columns
    )


def refuse_misfit(relation: Relation, column: Column) -> None:
    """Refuse a value of the shadow that the live column's type cannot hold, or would change.

    Raises:
        ValueDoesNotFit: The first one.
    """
    changed = _is_changed(column)
    if changed is None:
        return
    query = sql.SQL("SELECT s.{}::text FROM {} s WHERE {} ORDER BY s._id LIMIT 1")
    try:
        row = relation.connection.execute(
            query.format(identifier(column), relation.shadow, changed)
        ).fetchone()
    except psycopg.DataError as error:
        why = f": {error.diag.message_primary}"
        raise precision.misfit(column.name, column.type, why=why) from error
    if row:
        raise precision.misfit(column.name, column.type, row[0])


def _is_changed(column: Column) -> sql.Composed | None:
    """Return a condition that holds, or fails, for a value that the live type would change."""
    loaded = registry.verified_as(column.type)
    if column.type == loaded or registry.bare(column.type) == "nested":
        return None
    bound = registry.bound(column.type)
    if bound is not None:
        return sql.SQL("s.{0} NOT BETWEEN -{1} AND {1} - 1").format(
            identifier(column), sql.Literal(bound)
        )
    if registry.is_limited(column.type):
        form = "s.{0}::{1}::text::{2} <> s.{0}"
    else:
        form = "s.{0}::{1} IS NULL AND s.{0} IS NOT NULL"
    return sql.SQL(form).format(identifier(column), sql.SQL(column.type), sql.SQL(loaded))
