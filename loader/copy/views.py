"""The views over a live table -> the same views over the table that takes its place.

An alias of CKAN is a view that selects all columns: it is created again over all columns of the
new table. Any other view is a publisher's own and is created again from its definition, as are the
views over it. What cannot be created again is an error that names it, before rows are read where
that can be known. Holds the definitions of one table's views.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import locks, statements
from loader.copy.database import ours
from loader.copy.relation import SCHEMA, Relation, qualified
from loader.errors import DependentObjects

_HINT = "drop what is in the way, load, then create it again"


@dataclass(frozen=True)
class View:
    """A view over the live table, or over such a view."""

    oid: int
    schema: str
    name: str
    owner: str  # quoted
    definition: str
    is_alias: bool

    @property
    def identifier(self) -> sql.Identifier:
        """Return its name with its schema, quoted."""
        return sql.Identifier(self.schema, self.name)


def refuse(relation: Relation) -> None:
    """Refuse what no swap can create again, whatever the new columns are.

    Raises:
        DependentObjects: Names it: materialized views, foreign keys, rules, row level security,
            inheritance, publications, functions of the row type, views of other roles.
    """
    rows = relation.connection.execute(
        statements.read("views.blocking"), {"live": relation.live_regclass}
    )
    in_the_way = [row[0] for row in rows]
    if in_the_way:
        raise DependentObjects(
            f"{relation.name} cannot be replaced, this would be lost: {', '.join(in_the_way)}",
            hint=_HINT,
        )


def find(relation: Relation) -> list[View]:
    """Return the views, each after those that it reads."""
    return [
        View(*known, direct and _is_alias(relation, known[0], known[-1]))
        for known, direct in _known(relation)
    ]


def are_still(relation: Relation, found: list[View]) -> bool:
    """Tell whether the views are still those that were found before they were locked."""
    before = [(view.oid, view.schema, view.name, view.owner, view.definition) for view in found]
    return before == [known for known, _ in _known(relation)]


def _known(relation: Relation) -> list[tuple[tuple[int, str, str, str, str], bool]]:
    """Return each view's oid, schema, name, owner and definition; whether it reads the table."""
    rows = relation.connection.execute(
        statements.read("views.find"), {"live": relation.live_regclass}
    ).fetchall()
    return [((row[0], row[1], row[2], row[3], row[4]), row[5]) for row in rows]


def _is_alias(relation: Relation, oid: int, definition: str) -> bool:
    """Tell whether a view is an alias that CKAN made, of the columns that the table had then."""
    columns = _columns(relation.connection, oid)
    if columns[:2] != ["_id", "_full_text"]:
        return False
    if not set(columns) <= set(
        _columns(relation.connection, _oid(relation.connection, relation.name))
    ):
        return False
    probe = qualified(f"{relation.names.shadow}_probe")
    relation.connection.execute(
        sql.SQL("CREATE VIEW {} AS SELECT {} FROM {}").format(
            probe, sql.SQL(", ").join(map(sql.Identifier, columns)), relation.live
        )
    )
    row = relation.connection.execute(
        "SELECT pg_get_viewdef(%s::regclass)", (probe.as_string(None),)
    ).fetchone()
    relation.connection.execute(sql.SQL("DROP VIEW {}").format(probe))
    return bool(row and row[0] == definition)


def _oid(connection: psycopg.Connection[TupleRow], name: str) -> int:
    row = connection.execute(
        "SELECT %s::regclass::oid", (qualified(name).as_string(None),)
    ).fetchone()
    assert row is not None  # noqa: S101  # a SELECT without FROM gives one row
    return int(row[0])


def _columns(connection: psycopg.Connection[TupleRow], oid: int) -> list[str]:
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum",
        (oid,),
    )
    return [row[0] for row in rows]


def check(relation: Relation) -> None:
    """Try to create the publishers' views over the shadow's columns, and roll that back.

    No live relation is locked: temporary relations with the names of the live ones are found first.
    If the role may create none, the swap itself finds out.

    Args:
        relation: Its connection is in autocommit mode; it holds the resource's lock; the shadow has
            its columns by now.

    Raises:
        DependentObjects: A view needs a column that is gone or of another type; Postgres says why.
    """
    doing = "trying the views on the new columns"
    with ours(doing):
        row = relation.connection.execute(
            "SELECT has_database_privilege(current_database(), 'TEMP')"
            " AND to_regclass(%s) IS NOT NULL",
            (relation.live_regclass,),
        ).fetchone()
    if row and row[0]:
        locks.retry(relation.connection, doing, relation.tables, lambda: _try_and_undo(relation))


def _try_and_undo(relation: Relation) -> None:
    with relation.connection.transaction(force_rollback=True):
        _try(relation)


def _try(relation: Relation) -> None:
    path = sql.SQL("SET LOCAL search_path = {}")
    # Postgres leaves the schema out of definitions if it is in the search path: then they mean the
    # temporary relations later.
    relation.connection.execute(path.format(sql.Identifier(SCHEMA)))
    found = find(relation)
    if not found:
        return
    relation.connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {}, PRIMARY KEY (_id))").format(
            sql.Identifier(relation.name), relation.shadow
        )
    )
    relation.connection.execute(path.format(sql.SQL("pg_temp, {}").format(sql.Identifier(SCHEMA))))
    for number, view in enumerate(found):
        name = view.name if view.schema == SCHEMA else f"{relation.names.shadow}_v{number}"
        _create(
            relation.connection,
            view,
            sql.SQL("TEMPORARY VIEW {}").format(sql.Identifier(name)),
            sql.Identifier("pg_temp", relation.name),
        )


def create(relation: Relation, view: View) -> None:
    """Create a view again over the new live table; the old view has another name by now.

    Raises:
        DependentObjects: As ``check``.
    """
    what = sql.SQL("VIEW {}").format(view.identifier)
    _create(relation.connection, view, what, relation.live)


def _create(
    connection: psycopg.Connection[TupleRow],
    view: View,
    what: sql.Composable,
    table: sql.Composable,
) -> None:
    select = (
        sql.SQL("SELECT * FROM {}").format(table)
        if view.is_alias
        else sql.SQL(view.definition)  # as Postgres itself has quoted it
    )
    try:
        connection.execute(sql.SQL("CREATE {} AS {}").format(what, select))
    except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError) as error:
        raise DependentObjects(
            f"the view {view.name} cannot be made over the new columns:"
            f" {error.diag.message_primary}",
            hint=_HINT,
        ) from error
