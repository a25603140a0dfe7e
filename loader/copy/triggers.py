"""A live table's triggers -> the same on the shadow, as far as they act on the rows of a load.

Before the rows come: those that act on each row put in. In the swap all of them go over, with their
states (``carry_over``). CKAN's own trigger, ``zfulltext``, is no publisher's: it fills the full
text of rows that have none. Holds one line for each trigger.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import psycopg
from psycopg import sql

from loader.copy import locks, statements
from loader.copy.database import ours
from loader.copy.relation import Relation
from loader.errors import DependentObjects

# What pg_trigger calls the events.
_EVENTS = {"INSERT": 4, "UPDATE": 16}


def act_on_rows(relation: Relation) -> bool:
    """Tell whether ``copy_to_shadow`` has any to add: they may change the rows that COPY brings."""
    with ours("looking for triggers"):
        row = relation.connection.execute(
            "SELECT FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgtype & 7 = 7"
            " AND tgenabled IN ('O', 'A') AND NOT tgisinternal AND tgname <> 'zfulltext'",
            (relation.live_regclass,),
        ).fetchone()
    return row is not None


def copy_to_shadow(relation: Relation) -> None:
    """Let the live table's triggers act on the rows that COPY brings, as on rows put in by CKAN.

    Those for each row BEFORE INSERT are put on the shadow, for INSERT only: updates that a load
    makes afterwards are not an editor's. A generated ``_full_text`` is computed after them.

    Args:
        relation: Its connection is in autocommit mode; the shadow has its columns and no rows yet.

    Raises:
        DependentObjects: A trigger cannot be created on the new columns.
    """
    locks.retry(
        relation.connection, "adding the triggers", relation.tables, lambda: _copy(relation)
    )


def _copy(relation: Relation) -> None:
    lost = relation.connection.execute(
        statements.read("triggers.lost"), relation.parameters
    ).fetchall()
    if lost:
        raise _blocking(relation, ", ".join(row[0] for row in lost))
    for name, _, statement in _acting(relation):
        try:
            relation.connection.execute(statement)
        except psycopg.ProgrammingError as error:
            raise _blocking(relation, f"trigger {name} ({error.diag.message_primary})") from error


def _acting(relation: Relation) -> list[tuple[str, int, str]]:
    """Return name, function and statement of each trigger that acts on rows put in."""
    rows = relation.connection.execute(statements.read("triggers.acting"), relation.parameters)
    return [(row[0], row[1], row[2]) for row in rows]


def _blocking(relation: Relation, what: str) -> DependentObjects:
    return DependentObjects(
        f"{relation.name} cannot be replaced, this would be lost: {what}",
        hint="drop what is in the way, load, then create it again",
    )


def added_since(relation: Relation) -> list[str]:
    """Return the live table's triggers that have not acted on the rows of the shadow."""
    acted = {
        tuple(row)
        for row in relation.connection.execute(
            "SELECT tgname, tgfoid FROM pg_trigger WHERE tgrelid = to_regclass(%s)",
            (relation.shadow_regclass,),
        )
    }
    return [name for name, function, _ in _acting(relation) if (name, function) not in acted]


def may_change_rows(relation: Relation, event: Literal["INSERT", "UPDATE"]) -> bool:
    """Tell whether the live table's triggers may change rows, and CKAN's finds their words then."""
    row = relation.connection.execute(
        "SELECT count(*) FILTER (WHERE tgname <> 'zfulltext') > 0"
        " AND count(*) FILTER (WHERE tgname = 'zfulltext') > 0"
        " FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal"
        # For each row, before the event.
        " AND tgenabled IN ('O', 'A') AND tgtype & 3 = 3 AND tgtype & %s > 0",
        (relation.live_regclass, _EVENTS[event]),
    ).fetchone()
    return bool(row and row[0])


def add_full_text(relation: Relation) -> None:
    """Add CKAN's full text trigger to the shadow where CKAN has installed its function."""
    doing = "adding the full text trigger"
    with ours(doing):
        row = relation.connection.execute(
            "SELECT to_regprocedure('public.populate_full_text_trigger()') IS NOT NULL"
        ).fetchone()
    if row and row[0]:
        create = sql.SQL(
            "CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON {}"
            " FOR EACH ROW EXECUTE PROCEDURE public.populate_full_text_trigger()"
        ).format(relation.shadow)
        locks.retry(
            relation.connection,
            doing,
            [relation.shadow],
            lambda: relation.connection.execute(create),
        )


def has_full_text(relation: Relation) -> bool:
    """Tell whether the shadow has CKAN's full text trigger."""
    row = relation.connection.execute(
        "SELECT FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = 'zfulltext'",
        (relation.shadow_regclass,),
    ).fetchone()
    return row is not None


@contextmanager
def suspended(relation: Relation) -> Iterator[None]:
    """Let no trigger of the shadow's act but CKAN's, which finds words.

    Args:
        relation: Its connection is in a transaction, which takes all back if it fails.
    """
    found = relation.connection.execute(
        "SELECT tgname, tgenabled = 'A' FROM pg_trigger WHERE tgrelid = to_regclass(%s)"
        " AND tgenabled IN ('O', 'A') AND NOT tgisinternal AND tgname <> 'zfulltext'",
        (relation.shadow_regclass,),
    ).fetchall()
    change = sql.SQL("ALTER TABLE {} {} TRIGGER {}")
    for name, _ in found:
        disable = change.format(relation.shadow, sql.SQL("DISABLE"), sql.Identifier(name))
        relation.connection.execute(disable)
    yield
    for name, always in found:
        action = sql.SQL("ENABLE ALWAYS" if always else "ENABLE")
        relation.connection.execute(change.format(relation.shadow, action, sql.Identifier(name)))
