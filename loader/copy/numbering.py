"""A live table's ``_id`` -> what numbers new rows, or why they would get no number of their own.

CKAN makes ``_id`` a ``serial``. Who makes a table by hand, or restores one, may make it an
identity, leave its default out, or leave its sequence behind the rows. Holds one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import locks
from loader.copy.relation import Names, qualified
from loader.errors import DatabaseError, KeyViolated, NotADataStoreTable

# A default counts if it calls a function: a constant would give all rows the same ``_id``.
_ID = r"""
    SELECT attidentity <> '', attgenerated <> '', attnotnull,
        CASE WHEN pg_get_expr(adbin, adrelid) ~ '[[:alnum:]_"]\(' THEN
            pg_get_expr(adbin, adrelid) END,
        nspname, relname, seqincrement,
        has_sequence_privilege(s.oid, 'SELECT')
            AND atttypid::regtype IN ('smallint', 'integer', 'bigint', 'numeric'),
        ARRAY(SELECT i.relname::text FROM pg_index JOIN pg_class i ON i.oid = indexrelid
            WHERE indrelid = attrelid AND indisunique AND indisvalid AND indpred IS NULL
                AND indnkeyatts = 1 AND indkey[0] = attnum),
        EXISTS (SELECT FROM pg_trigger WHERE tgrelid = attrelid AND NOT tgisinternal
            -- For each row, before it is inserted.
            AND tgname <> 'zfulltext' AND tgenabled IN ('O', 'A') AND tgtype & 7 = 7)
    FROM pg_attribute
    LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
    LEFT JOIN LATERAL (
        SELECT c.oid, nspname, relname, seqincrement FROM pg_class c
        JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_sequence ON seqrelid = c.oid
        WHERE c.oid IN (
            SELECT refobjid FROM pg_depend WHERE classid = 'pg_attrdef'::regclass
                AND objid = d.oid AND refclassid = 'pg_class'::regclass
            UNION ALL
            SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass
                AND refclassid = 'pg_class'::regclass AND refobjid = attrelid
                AND refobjsubid = attnum AND deptype = 'i'
        ) LIMIT 1
    ) s ON true
    WHERE attrelid = to_regclass(%s) AND attname = '_id' AND NOT attisdropped
"""
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


def check(connection: psycopg.Connection[TupleRow], names: Names, *, appends: bool) -> None:
    """Refuse early a table that cannot number new rows.

    Args:
        connection: In autocommit mode.
        names: Of the table.
        appends: Whether each row of the file is a new one: of an upsert, all may be known.

    Raises:
        NotADataStoreTable: Nothing gives rows their ``_id``.
        KeyViolated: The next ``_id`` is that of a row.
        TableBusy: Somebody keeps the table from being read.
    """

    def look() -> None:
        numbering = of_table(connection, names)
        next_number = _next_number(connection, numbering)
        if not appends or next_number is None:
            return
        query = sql.SQL("SELECT FROM {} WHERE _id = {}::bigint LIMIT 1").format(
            qualified(names.live), sql.Literal(next_number)
        )
        if connection.execute(query).fetchone() is not None:
            raise _behind(names, numbering, next_number)

    locks.patiently(connection, "looking at the live table", [qualified(names.live)], look)


def of_table(connection: psycopg.Connection[TupleRow], names: Names) -> Numbering:
    """Return what numbers new rows.

    Args:
        connection: In a transaction with a limit for locks.
        names: Of the table.

    Raises:
        NotADataStoreTable: Nothing does.
    """
    row = connection.execute(_ID, (qualified(names.live).as_string(None),)).fetchone()
    if row is None:
        raise _unnumbered(names)
    is_identity, is_generated, is_filled, default, schema, name, step, readable, unique, other = row
    sequence = None if name is None else sql.Identifier(schema, name)
    next_id: sql.Composable = sql.SQL("NULL")
    if is_identity and sequence is not None:
        next_id = sql.SQL("nextval({}::regclass)").format(sql.Literal(sequence.as_string(None)))
    elif default is not None:
        next_id = sql.SQL(default)
    elif not is_generated and not (other and is_filled):
        raise _unnumbered(names, by_trigger=other)
    return Numbering(next_id, is_generated, sequence if readable else None, step, tuple(unique))


@contextmanager
def watched(
    connection: psycopg.Connection[TupleRow], names: Names, numbering: Numbering
) -> Iterator[None]:
    """Tell what is wrong with the ``_id`` that rows get.

    Args:
        connection: In the transaction that adds the rows.
        names: Of the table.
        numbering: As ``of_table`` returns it.

    Raises:
        NotADataStoreTable: A row has got none.
        KeyViolated: A row has got that of another.
        DatabaseError: The sequence is at its end.
    """
    next_number = _next_number(connection, numbering)
    is_behind = next_number is not None and _is_behind(connection, names, numbering, next_number)
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name not in numbering.unique:
            raise
        if is_behind:
            raise _behind(names, numbering) from error
        raise KeyViolated(
            f"new rows got an _id that rows of {names.live} have: {error.diag.message_detail}",
            hint="see what its default, or a trigger, makes of _id; if others add rows too, load"
            " again",
        ) from error
    except psycopg.errors.NotNullViolation as error:
        if error.diag.column_name != "_id":
            raise
        raise _unnumbered(names) from error
    except psycopg.errors.SequenceGeneratorLimitExceeded as error:
        raise DatabaseError(
            f"no _id is left for new rows of {names.live}: {error.diag.message_primary}",
            hint="a load that replaces the table begins with 1 again",
            option="mode",
        ) from error
    if next_number is not None and not numbering.unique:
        _refuse_duplicates(connection, names, numbering, next_number)


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
    connection: psycopg.Connection[TupleRow],
    names: Names,
    numbering: Numbering,
    next_number: int,
) -> bool:
    """Tell whether rows have an ``_id`` that the sequence will come to; found by the index."""
    if not numbering.unique:
        return False
    row = connection.execute(
        sql.SQL("SELECT FROM {} WHERE _id {} {}::bigint LIMIT 1").format(
            qualified(names.live), sql.SQL(">=" if numbering.increment > 0 else "<="), next_number
        )
    ).fetchone()
    return row is not None


def _refuse_duplicates(
    connection: psycopg.Connection[TupleRow],
    names: Names,
    numbering: Numbering,
    next_number: int,
) -> None:
    """Refuse the rows if one has got the ``_id`` of another, where no index does.

    Reads the whole table, unless ``_id`` has an index: no table that CKAN has made is without.
    """
    assert numbering.sequence is not None  # noqa: S101  # it has given next_number
    last, _ = _last_number(connection, numbering.sequence)
    row = connection.execute(
        sql.SQL(
            "SELECT _id::bigint FROM {} WHERE _id BETWEEN {}::bigint AND {}::bigint"
            " GROUP BY _id HAVING count(*) > 1 LIMIT 1"
        ).format(qualified(names.live), *sorted((next_number, last)))
    ).fetchone()
    if row:
        raise _behind(names, numbering, row[0])


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
