"""The views over a live table -> the same views over the table that takes its place.

An alias of CKAN is a view that selects all columns: it is made anew over all columns of the new
table. Any other view is a publisher's own and comes back by its definition, as do the views over
it. What Postgres cannot bring back is named, before rows are read where that can be known. Holds
the definitions of one table's views.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import locks
from loader.copy.database import ours
from loader.copy.relation import SCHEMA, Relation, qualified
from loader.errors import DependentObjects

_HINT = "drop what is in the way, load, then create it again"

# The table and the views over it, at their greatest distance; a view may use the table's row type
# only. Looked up by pg_depend's index: it has millions of rows on a large portal.
_RELATED = """
    WITH RECURSIVE related (oid, depth) AS (
        SELECT to_regclass(%(live)s)::oid, 0
        UNION
        SELECT v.oid, depth + 1
        FROM related JOIN pg_class c USING (oid) LEFT JOIN pg_type t ON t.oid = c.reltype,
        LATERAL (VALUES ('pg_class'::regclass, c.oid), ('pg_type'::regclass, c.reltype),
            ('pg_type'::regclass, t.typarray)) AS o (class, id)
        JOIN pg_depend d ON d.refclassid = o.class AND d.refobjid = o.id
        JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        JOIN pg_class v ON v.oid = r.ev_class
        WHERE r.ev_type = '1' AND v.relkind = 'v' AND v.oid <> c.oid
    ),
    found AS (SELECT oid, max(depth) AS depth FROM related GROUP BY oid)
"""
_VIEWS = """
    SELECT c.oid, nspname, relname, relowner::regrole::text, pg_get_viewdef(c.oid), depth = 1
    FROM found JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = relnamespace
    WHERE depth > 0 ORDER BY depth, c.oid
"""
# What DROP TABLE would refuse to take along, and what it would take along without a word.
_IN_THE_WAY = """,
    object (class, id, relation) AS (
        SELECT o.*, c.oid
        FROM found JOIN pg_class c USING (oid) LEFT JOIN pg_type t ON t.oid = c.reltype,
        LATERAL (VALUES ('pg_class'::regclass, c.oid), ('pg_type'::regclass, c.reltype),
            ('pg_type'::regclass, t.typarray)) AS o (class, id)
    ),
    dependent AS (
        SELECT DISTINCT d.classid, d.objid, d.objsubid
        FROM object JOIN pg_depend d ON d.refclassid = class AND d.refobjid = id
        WHERE d.deptype = 'n' AND NOT EXISTS (
            SELECT FROM pg_depend own JOIN found f ON f.oid = own.refobjid
            WHERE own.classid = d.classid AND own.objid = d.objid
                AND own.refclassid = 'pg_class'::regclass AND own.deptype IN ('a', 'i')
        )
    )
    SELECT coalesce(
        'foreign key ' || quote_ident(k.conname) || ' of ' || k.conrelid::regclass,
        pg_describe_object('pg_class'::regclass, r.ev_class, 0),
        pg_describe_object(classid, objid, objsubid)
    ) FROM dependent
    LEFT JOIN pg_constraint k
        ON classid = 'pg_constraint'::regclass AND k.oid = objid AND k.contype = 'f'
    LEFT JOIN pg_rewrite r ON classid = 'pg_rewrite'::regclass AND r.oid = objid
    UNION SELECT 'foreign key ' || quote_ident(conname) FROM pg_constraint
        WHERE conrelid = to_regclass(%(live)s) AND contype = 'f'
    UNION SELECT pg_describe_object('pg_rewrite'::regclass, r.oid, 0)
        FROM pg_rewrite r JOIN found f ON f.oid = ev_class WHERE ev_type <> '1'
    UNION SELECT pg_describe_object('pg_trigger'::regclass, t.oid, 0)
        FROM pg_trigger t JOIN found f ON f.oid = tgrelid WHERE depth > 0 AND NOT tgisinternal
    UNION SELECT pg_describe_object('pg_policy'::regclass, oid, 0)
        FROM pg_policy WHERE polrelid = to_regclass(%(live)s)
    UNION SELECT 'row level security' FROM pg_class
        WHERE oid = to_regclass(%(live)s) AND (relrowsecurity OR relforcerowsecurity)
    UNION SELECT 'inheritance from ' || inhparent::regclass FROM pg_inherits
        WHERE inhrelid = to_regclass(%(live)s)
    UNION SELECT pg_describe_object('pg_publication_rel'::regclass, oid, 0)
        FROM pg_publication_rel WHERE prrelid = to_regclass(%(live)s)
    UNION SELECT pg_describe_object('pg_class'::regclass, oid, 0)
            || ', which belongs to ' || relowner::regrole
        FROM found JOIN pg_class USING (oid)
        WHERE depth > 0 AND NOT pg_has_role(relowner, 'MEMBER')
    UNION SELECT pg_describe_object('pg_class'::regclass, oid, 0)
            || ', in a schema where this role may not create'
        FROM found JOIN pg_class USING (oid)
        WHERE depth > 0 AND NOT has_schema_privilege(relnamespace, 'CREATE')
    ORDER BY 1
"""


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
    """Refuse what no swap can bring back, whatever the new columns are.

    Raises:
        DependentObjects: Names it: materialized views, foreign keys, rules, row level security,
            inheritance, publications, functions of the row type, views of other roles.
    """
    rows = relation.connection.execute(_RELATED + _IN_THE_WAY, {"live": relation.live_regclass})
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
    """Tell whether the views are those that were found before they were locked."""
    before = [(view.oid, view.schema, view.name, view.owner, view.definition) for view in found]
    return before == [known for known, _ in _known(relation)]


def _known(relation: Relation) -> list[tuple[tuple[int, str, str, str, str], bool]]:
    """Return each view's oid, schema, name, owner and definition; whether it reads the table."""
    rows = relation.connection.execute(
        _RELATED + _VIEWS, {"live": relation.live_regclass}
    ).fetchall()
    return [((row[0], row[1], row[2], row[3], row[4]), row[5]) for row in rows]


def _is_alias(relation: Relation, oid: int, definition: str) -> bool:
    """Tell whether a view is what CKAN made, of the columns that the table had then."""
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
    """Try the publishers' views on the shadow's columns; nothing of it stays.

    In the way of nobody: temporary relations with the names of the live ones are found first.
    Where the role may make none, the swap itself finds out.

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
        locks.patiently(
            relation.connection, doing, relation.tables, lambda: _try_and_undo(relation)
        )


def _try_and_undo(relation: Relation) -> None:
    with relation.connection.transaction(force_rollback=True):
        _try(relation)


def _try(relation: Relation) -> None:
    path = sql.SQL("SET LOCAL search_path = {}")
    # With names that Postgres does not qualify, the definitions follow the search path.
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
    """Make a view anew over the new live table; its old self has another name by now.

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
