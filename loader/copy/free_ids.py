"""A table -> the ``_id`` that no row of it has: a row with one of them later was inserted since.

This is exact whatever ``_id`` an insert chooses; ``VACUUM FULL``, ``ALTER TABLE`` and the age of
transaction ids change nothing. Under the swap's lock each gap between used ones is looked up
in the index: 10,000 take 50 ms. Holds two numbers for each gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import gaps
from loader.copy.gaps import ALL, Free, around
from loader.copy.relation import Relation

# Counting 5 M rows takes 0.5 s, and finding the gaps between them 4 s.
LOOK_MS = 60_000

# The first and the last of each run of consecutive _id.
_TAKEN = """
    SELECT min(_id) AS first, max(_id) AS last
    FROM (
        SELECT _id::bigint AS _id, _id::bigint - dense_rank() OVER (ORDER BY _id) AS run
        FROM ({rows}) AS taken
    ) AS numbered
    GROUP BY run ORDER BY first, last LIMIT {most}
"""
# The largest gaps between the _id that rows have, then the lowest and the highest _id. In a run of
# consecutive _id, each less its rank is the same number. It is one statement, so that all is of the
# same moment: others insert rows meanwhile.
_GAPS = """
    WITH numbered AS (
        SELECT _id::bigint AS _id, _id::bigint - dense_rank() OVER (ORDER BY _id) AS run FROM {live}
    ),
    runs AS (
        SELECT min(_id) AS first, max(_id) AS last FROM numbered GROUP BY run
    ),
    gaps AS (
        SELECT max(last) OVER (ORDER BY first, last) AS low,
            lead(first) OVER (ORDER BY first, last) AS high
        FROM runs
    )
    (SELECT low, high FROM gaps WHERE high > low + 1 ORDER BY high - low DESC LIMIT {most})
    UNION ALL SELECT NULL, min(first) FROM runs
    UNION ALL SELECT max(last), NULL FROM runs
"""
_EXTENT = """
    SELECT (SELECT min(_id) FROM {live}), (SELECT max(_id) FROM {live}),
        (SELECT count(*) FROM {live})
"""


def of_table(relation: Relation, *, is_unique: bool) -> Free:
    """Return what is free in the live table; if that takes too long, what is outside its ends.

    Args:
        relation: Its connection is in a transaction; ``_id`` of the table is a whole number, is
            never NULL and has an index.
        is_unique: Whether no two rows have the same.
    """
    try:
        with relation.connection.transaction():
            _limit(relation.connection, LOOK_MS)
            free = _find(relation, is_unique=is_unique)
            _limit(relation.connection, 0)
            return free
    except (psycopg.errors.QueryCanceled, psycopg.DataError):
        first, last = _ends(relation)
        return around(first, last, exact=False)


def _limit(connection: psycopg.Connection[TupleRow], ms: int) -> None:
    connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(ms),))


def _find(relation: Relation, *, is_unique: bool) -> Free:
    live = relation.live
    if is_unique:
        extent = relation.connection.execute(sql.SQL(_EXTENT).format(live=live)).fetchone()
        assert extent is not None  # noqa: S101  # a SELECT without FROM gives one row
        first, last, count = extent
        if first is None or count == last - first + 1:
            return around(first, last)
    query = sql.SQL(_GAPS).format(live=live, most=sql.Literal(gaps.MOST_GAPS))
    with by_index(relation.connection):
        *between, (_, first), (last, _) = relation.connection.execute(query).fetchall()
    return around(first, last, between, exact=len(between) < gaps.MOST_GAPS)


def _ends(relation: Relation) -> tuple[int | None, int | None]:
    with by_index(relation.connection):
        row = relation.connection.execute(
            sql.SQL("SELECT min(_id), max(_id) FROM {}").format(relation.live)
        ).fetchone()
    return row or (None, None)


def rows(relation: Relation, free: Free) -> sql.Composed:
    """Return the SELECT of those rows of the live table whose ``_id`` were free.

    Each gap is looked up in the index, whatever the planner thinks of their number. Where all are
    free, all rows are meant, whatever their ``_id`` is.
    """
    if free == ALL:
        return sql.SQL("SELECT * FROM {}").format(relation.live)
    lows, highs = [low for low, _ in free.gaps], [high for _, high in free.gaps]
    return sql.SQL(
        "SELECT l.* FROM unnest({}::bigint[], {}::bigint[]) AS gap (low, high), LATERAL ("
        "SELECT * FROM {} WHERE _id > gap.low AND _id < gap.high OFFSET 0) AS l"
    ).format(sql.Literal(lows), sql.Literal(highs), relation.live)


def still_free(relation: Relation, free: Free) -> Free:
    """Return what is still free.

    Args:
        relation: Its connection is in a transaction.
        free: What was free before.
    """
    taken = sql.SQL(_TAKEN).format(rows=rows(relation, free), most=sql.Literal(gaps.MOST_GAPS))
    with by_index(relation.connection):
        runs = [(first, last) for first, last in relation.connection.execute(taken)]
    if len(runs) < gaps.MOST_GAPS:
        return free.without(runs)
    _, last = _ends(relation)
    runs[-1] = (runs[-1][0], max(runs[-1][1], last or runs[-1][1]))
    return free.without(runs, exact=False)


@contextmanager
def by_index(connection: psycopg.Connection[TupleRow]) -> Iterator[None]:
    """Let queries use the index, though the table's statistics may be old, or missing.

    Args:
        connection: In a transaction.
    """
    setting = "SELECT set_config('enable_seqscan', %s, true)"
    before = connection.execute("SELECT current_setting('enable_seqscan')").fetchone()
    connection.execute(setting, ("off",))
    yield
    connection.execute(setting, before)
