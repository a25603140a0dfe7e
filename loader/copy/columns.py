"""The storage and statistics settings of a live table's columns -> the same on its replacement.

They are set before the rows come, since a value stays as it was stored and ANALYZE runs once; and
again in the swap, in case they were changed during the load. Holds one line for each column.
"""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from loader.copy import locks, statements
from loader.copy.relation import Relation


def prepare(relation: Relation) -> None:
    """Give the shadow's columns the settings of the live table's, if there is one.

    Args:
        relation: Its connection is in autocommit mode; the shadow has its columns and no rows yet.
    """

    def work() -> None:
        live = relation.oid()
        shadow = relation.shadow_oid()
        if live is not None and shadow is not None:
            carry_over(relation.connection, live, shadow)

    locks.retry(relation.connection, "preparing the columns", relation.tables, work)


def carry_over(connection: psycopg.Connection[TupleRow], old: int, new: int) -> None:
    """Give the columns of a table the settings of another's.

    Args:
        connection: In a transaction.
        old: The oid of the table that has them.
        new: That of the other one; nothing is done to views and sequences.
    """
    settings = statements.read("columns.settings")
    for (statement,) in connection.execute(settings, {"old": old, "new": new}).fetchall():
        connection.execute(statement)
