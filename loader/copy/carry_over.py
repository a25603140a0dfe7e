"""What a live table carries -> the same on the table that takes its place, in the swap.

In: both tables, under the swap's locks. Out: on the new one the old one's owner, privileges,
comments, storage parameters, the settings of columns once more (``columns``), all triggers with
their states, and the final names of what ``indexes`` has built. A warning tells what is left
behind: extended statistics, security labels, tablespaces, and what else no load makes. Holds one
line for each of these things.
"""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from loader.copy import columns, indexes, statements, triggers
from loader.copy.relation import MARK, Relation


def finishing(relation: Relation) -> list[str]:
    """Return the statements that finish the new table once it has the live one's name.

    They are read while both tables are there, and run when the old one is gone.
    """
    rows = relation.connection.execute(
        statements.read("carry_over.finishing"),
        {**relation.parameters, "key_name": indexes.asked_key(relation)},
    )
    return [row[0] for row in rows]


def not_null_names(relation: Relation) -> list[str]:
    """Return the statements that name NOT NULL after the table, as PostgreSQL 18 does.

    The shadow has the live table's name already.
    """
    names = {"table": relation.live_regclass, "live": relation.name}
    rows = relation.connection.execute(
        statements.read("carry_over.not_null_names"), {**names, "shadow": relation.names.shadow}
    )
    return [row[0] for row in rows]


def properties(connection: psycopg.Connection[TupleRow], old: int, new: int) -> None:
    """Give a new table, sequence or view what its old self has.

    Owner, privileges on it and on its columns, comments, storage parameters, settings of columns;
    of a sequence how it counts. A comment of the old one wins over the label of this load: an
    editor may have written it. But for the mark on a sequence, which tells whose load has made the
    table: that is this one.

    Args:
        connection: In the swap's transaction.
        old: The oid of the one that has them.
        new: That of the other one.
    """
    oids = {"old": old, "new": new}
    owner = statements.read("carry_over.owner")
    for (statement,) in connection.execute(owner, oids).fetchall():
        connection.execute(statement)
    others = statements.read("carry_over.properties")
    changes = [row[1] for row in connection.execute(others, {**oids, "mark": MARK})]
    if changes:
        connection.execute("; ".join(changes))
    columns.carry_over(connection, old, new)


def left_behind(relation: Relation) -> list[str]:
    """Return warnings: what is on the old table and will not be on the new one."""
    rows = relation.connection.execute(
        statements.read("carry_over.left_behind"), relation.parameters
    )
    lost = [row[0] for row in rows]
    warnings = [f"not carried over from the old table: {', '.join(lost)}"] if lost else []
    return warnings + [
        f"the trigger {name} came during the load: it has not seen the rows loaded"
        for name in triggers.added_since(relation)
    ]
