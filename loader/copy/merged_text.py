"""The columns of a live table -> the ``_full_text`` of the rows that are put among its own.

It has the words that CKAN's trigger would find in the live row: those of the shadow, unless a type
of the table, or a trigger, changes what they are found in. Holds SQL.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from loader.choices import FullText
from loader.copy import triggers
from loader.copy.live_columns import (
    have_the_same_text,
    identifier,
    listed,
    named_values,
    value,
)
from loader.copy.relation import Relation
from loader.types import registry
from loader.types.column import Column


def of_new_row(
    relation: Relation, columns: Sequence[Column], cut: Sequence[int], which: FullText
) -> sql.Composable:
    """Return the shadow's words, or those of the live row where they may differ.

    Triggers of the table may change a row, and CKAN's own then finds its words after them, except
    in the rows that it would refuse. The table may also lack CKAN's trigger.
    """
    shadows = sql.SQL("s._full_text")
    if which == "none":
        return shadows
    words: sql.Composable = sql.SQL("NULL::tsvector")
    if not triggers.may_change_rows(relation, "INSERT"):
        if have_the_same_text(columns):
            return shadows
        words = _words(columns, which)
    if not cut:
        return words
    return sql.SQL("CASE WHEN {} THEN s._full_text ELSE {} END").format(_is_cut(cut), words)


def _words(columns: Sequence[Column], which: FullText) -> sql.Composed:
    """Return what CKAN's trigger would find in the live row."""
    chosen = [
        column.name
        for column in columns
        if which == "all" or registry.verified_as(column.type) == registry.TEXT
    ]
    return sql.SQL(
        "(SELECT to_tsvector(string_agg(cell.value, ' ')) FROM (SELECT {}) live,"
        " json_each_text(row_to_json(live.*)) cell WHERE cell.key = ANY ({}::text[]))"
    ).format(named_values(columns), sql.Literal(chosen))


def of_updated_row(relation: Relation, key: Sequence[Column], cut: Sequence[int]) -> sql.Composable:
    """Return the words of a row that is there, or NULL for CKAN's trigger, as ``_full_text``."""
    if not triggers.may_change_rows(relation, "UPDATE"):
        return sql.SQL("excluded._full_text")
    if not cut:
        return sql.SQL("NULL")
    return sql.SQL(
        "CASE WHEN ({excluded}) IN (SELECT {values} FROM {shadow} s WHERE {is_cut})"
        " THEN excluded._full_text END"
    ).format(
        excluded=listed(sql.SQL("excluded.{}").format(identifier(column)) for column in key),
        values=listed(map(value, key)),
        shadow=relation.shadow,
        is_cut=_is_cut(cut),
    )


def _is_cut(cut: Sequence[int]) -> sql.Composed:
    """Return the condition; not by ANY, which older servers look through for each row."""
    return sql.SQL("s._id IN (SELECT unnest({}::bigint[]))").format(sql.Literal(list(cut)))
