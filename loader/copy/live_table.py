"""A relation -> nothing, or why a load must not change what has the table's name.

Holds one line for each thing that is in the way.
"""

from __future__ import annotations

from loader.copy import views
from loader.copy.database import ours
from loader.copy.relation import SCHEMA, Relation
from loader.errors import NotADataStoreTable


def check(relation: Relation, *, replaced: bool = True) -> None:
    """Refuse a table that a load must not change, before any row is read.

    Args:
        relation: Its connection is in autocommit mode; the table need not be there.
        replaced: Whether the table is to be replaced, and not only to get rows.

    Raises:
        NotADataStoreTable: The name belongs to a view, or to a table without ``_id`` and
            ``_full_text``; or a name that goes with it belongs to something else.
        DependentObjects: Something depends on the live table that no swap can bring back.
    """
    with ours("looking at the live table"):
        oid = relation.oid()
        if replaced or oid is None:
            _refuse_taken(relation, oid)
        if oid is None:
            return
        row = relation.connection.execute(
            "SELECT relkind = 'r' AND 2 = (SELECT count(*) FROM pg_attribute WHERE attrelid = %s"
            " AND NOT attisdropped AND attname IN ('_id', '_full_text'))"
            " FROM pg_class WHERE oid = %s",
            (oid, oid),
        ).fetchone()
        if not (row and row[0]):
            raise NotADataStoreTable(
                f"{relation.name} exists in this database and is not a DataStore table",
                hint="choose another name, or rename what is there",
                option="resource_id",
            )
        if replaced:
            views.refuse(relation)


def _refuse_taken(relation: Relation, oid: int | None) -> None:
    """Refuse a table whose sequence or index cannot get its name, before hours of work.

    That happens after a rename, since a renamed table keeps its sequence and its indexes.
    """
    wanted = [relation.names.sequence, relation.names.primary_key, relation.names.full_text_index]
    taken = relation.connection.execute(
        "SELECT c.relname FROM pg_class c WHERE relnamespace = %s::regnamespace"
        " AND relname = ANY(%s) AND NOT EXISTS ("
        " SELECT FROM pg_index WHERE indexrelid = c.oid AND indrelid = %s) AND NOT EXISTS ("
        " SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid"
        " AND refclassid = 'pg_class'::regclass AND refobjid = %s) ORDER BY 1",
        (SCHEMA, wanted, oid or 0, oid or 0),
    ).fetchall()
    if taken:
        raise NotADataStoreTable(
            f"others have names that belong to the table {relation.name}:"
            f" {', '.join(row[0] for row in taken)}",
            hint="was it renamed? rename what went with it, too: ALTER SEQUENCE and ALTER INDEX ..."
            " RENAME TO ...",
        )
