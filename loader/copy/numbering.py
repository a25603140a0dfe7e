"""A live table's ``_id`` -> what numbers new rows, or the error that they would get no own number.

CKAN makes ``_id`` a ``serial``. In a table that was made by hand, or restored, it may be an
identity, have no default, or have a sequence that is behind the rows. Holds one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import locks, statements
from loader.copy.relation import Names, Relation, qualified
from loader.errors import DatabaseError, KeyViolated, NotADataStoreTable

_LARGEST = 2**63 - 1  # of a sequence


@dataclass(frozen=True)
class Numbering:
    """What gives new rows their ``_id``.

    Attributes:
        next_id: The expression; NULL where a trigger does it.
        is_generated: Whether the table computes ``_id`` from other columns.
        sequence: The one that ``_id`` comes from, if it can be read and ``_id`` is a number.
        increment: What the sequence adds for each row.
        unique: The unique indexes on ``_id`` alone.
    """

    next_id: sql.Composable
    is_generated: bool
    sequence: sql.Identifier | None
    increment: int
    unique: tuple[str, ...]


def check(relation: Relation, *, appends: bool) -> None:
    """Refuse a table that cannot number new rows, before the file is read.

    Args:
        relation: Its connection is in autocommit mode.
        appends: Whether each row of the file is a new one; in an upsert none need be.

    Raises:
        NotADataStoreTable: Nothing gives rows their ``_id``.
        KeyViolated: A row has the next ``_id`` already.
        TableBusy: Another session keeps the table from being read.
    """

    def look() -> None:
        numbering = of_table(relation)
        next_number = _next_number(relation.connection, numbering)
        if not appends or next_number is None:
            return
        query = sql.SQL("SELECT FROM {} WHERE _id = {}::bigint LIMIT 1").format(
            relation.live, sql.Literal(next_number)
        )
        if relation.connection.execute(query).fetchone() is not None:
            raise _behind(relation.names, numbering, next_number)

    locks.retry(relation.connection, "looking at the live table", [relation.live], look)


def of_table(relation: Relation) -> Numbering:
    """Return what numbers new rows.

    Args:
        relation: Its connection is in a transaction with a limit for locks.

    Raises:
        NotADataStoreTable: Nothing does.
    """
    row = relation.connection.execute(
        statements.read("numbering"), {"live": relation.live_regclass}
    ).fetchone()
    if row is None:
        raise _unnumbered(relation.names)
    is_identity, is_generated, is_filled, default, schema, name, step, readable, unique, other = row
    sequence = None if name is None else sql.Identifier(schema, name)
    next_id: sql.Composable = sql.SQL("NULL")
    if is_identity and sequence is not None:
        next_id = sql.SQL("nextval({}::regclass)").format(sql.Literal(sequence.as_string(None)))
    elif default is not None:
        next_id = sql.SQL(default)
    elif not is_generated and not (other and is_filled):
        raise _unnumbered(relation.names, by_trigger=other)
    return Numbering(next_id, is_generated, sequence if readable else None, step, tuple(unique))


@contextmanager
def ours(relation: Relation, numbering: Numbering) -> Iterator[None]:
    """Turn errors about the ``_id`` that new rows get into ours.

    Args:
        relation: Its connection is in the transaction that adds the rows.
        numbering: As ``of_table`` returns it.

    Raises:
        NotADataStoreTable: A row got none.
        KeyViolated: A row got that of another row.
        DatabaseError: The sequence is at its end.
    """
    next_number = _next_number(relation.connection, numbering)
    is_behind = next_number is not None and _is_behind(relation, numbering, next_number)
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name not in numbering.unique:
            raise
        if is_behind:
            raise _behind(relation.names, numbering) from error
        raise KeyViolated(
            f"new rows got an _id that rows of {relation.name} have: {error.diag.message_detail}",
            hint="see what its default, or a trigger, makes of _id; if others add rows too, load"
            " again",
        ) from error
    except psycopg.errors.NotNullViolation as error:
        if error.diag.column_name != "_id":
            raise
        raise _unnumbered(relation.names) from error
    except psycopg.errors.SequenceGeneratorLimitExceeded as error:
        raise DatabaseError(
            f"no _id is left for new rows of {relation.name}: {error.diag.message_primary}",
            hint="a load that replaces the table begins with 1 again",
            option="mode",
        ) from error
    if next_number is not None and not numbering.unique:
        _refuse_duplicates(relation, numbering, next_number)


def _next_number(connection: psycopg.Connection[TupleRow], numbering: Numbering) -> int | None:
    """Return what the sequence gives next; None without one, or at its end."""
    if numbering.sequence is None:
        return None
    last, is_called = _last_number(connection, numbering.sequence)
    number = last + numbering.increment if is_called else last
    return number if abs(number) <= _LARGEST else None


def _last_number(
    connection: psycopg.Connection[TupleRow], sequence: sql.Identifier
) -> tuple[int, bool]:
    row = connection.execute(
        sql.SQL("SELECT last_value, is_called FROM {}").format(sequence)
    ).fetchone()
    assert row is not None  # noqa: S101  # a sequence has one row
    return int(row[0]), bool(row[1])


def _is_behind(
    relation: Relation,
    numbering: Numbering,
    next_number: int,
) -> bool:
    """Tell whether rows have an ``_id`` that the sequence has yet to give; the index finds it."""
    if not numbering.unique:
        return False
    row = relation.connection.execute(
        sql.SQL("SELECT FROM {} WHERE _id {} {}::bigint LIMIT 1").format(
            relation.live, sql.SQL(">=" if numbering.increment > 0 else "<="), next_number
        )
    ).fetchone()
    return row is not None


def _refuse_duplicates(
    relation: Relation,
    numbering: Numbering,
    next_number: int,
) -> None:
    """Refuse the rows if one got the ``_id`` of another, where no unique index refuses them.

    Reads the whole table, unless ``_id`` has an index, as in every table that CKAN has made.
    """
    assert numbering.sequence is not None  # noqa: S101  # it has given next_number
    last, _ = _last_number(relation.connection, numbering.sequence)
    row = relation.connection.execute(
        sql.SQL(
            "SELECT _id::bigint FROM {} WHERE _id BETWEEN {}::bigint AND {}::bigint"
            " GROUP BY _id HAVING count(*) > 1 LIMIT 1"
        ).format(relation.live, *sorted((next_number, last)))
    ).fetchone()
    if row:
        raise _behind(relation.names, numbering, row[0])


def _behind(names: Names, numbering: Numbering, number: int | None = None) -> KeyViolated:
    assert numbering.sequence is not None  # noqa: S101  # it is compared with the rows
    sequence = numbering.sequence.as_string(None)
    at = "" if number is None else f": it gives {number}, which a row has"
    mend = sql.SQL("SELECT setval({}, {}(_id)::bigint) FROM {}").format(
        sql.Literal(sequence),
        sql.SQL("max" if numbering.increment > 0 else "min"),
        qualified(names.live),
    )
    return KeyViolated(
        f"the sequence {sequence} is behind the rows of {names.live}, as after a restore{at}",
        hint=f"the file is not at fault; run this and load again: {mend.as_string(None)}",
    )


def _unnumbered(names: Names, *, by_trigger: bool = False) -> NotADataStoreTable:
    hint = "give it one, such as nextval of a sequence, or let the file replace the table"
    if by_trigger:
        hint += "; if a trigger numbers rows, make _id NOT NULL"
    return NotADataStoreTable(
        f"the _id of {names.live} has no default that numbers new rows",
        hint=hint,
        option="mode",
    )
