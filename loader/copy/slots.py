"""A load's connection -> one of the slots that limit how many loads a database takes at a time.

Each load holds a slot to its end; without a free one it gets TooManyLoads. A slot is an advisory
lock of the session, so Postgres frees it when the connection ends, however that happens. Holds
nothing.
"""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from loader.copy.database import ours
from loader.errors import TooManyLoads
from loader.net.retry import Attempts, Backoff

# The server takes a moment to notice that a load has closed its connection.
_GIVE_UP_AFTER_S = 1.0
_PAUSE_S = 0.05
_CLASS = 0x41697243  # "AirC": advisory locks of two numbers are apart from those of one


def take(connection: psycopg.Connection[TupleRow], most: int) -> None:
    """Take a free slot, the last one first: loads with a lower limit can use the first ones only.

    Args:
        connection: Whose end frees the slot.
        most: How many slots this load may choose from.

    Raises:
        TooManyLoads: None is free.
    """
    for _ in Attempts(Backoff.steady(_PAUSE_S), limit_s=_GIVE_UP_AFTER_S):
        if _try(connection, most):
            return
    raise TooManyLoads(
        f"{most} loads into this database are running already",
        hint="wait until one has ended, or allow more",
        option="max_loads",
    )


def _try(connection: psycopg.Connection[TupleRow], most: int) -> bool:
    for slot in reversed(range(most)):
        with ours("looking for a free slot"):
            row = connection.execute(
                "SELECT pg_try_advisory_lock(%s, %s)", (_CLASS, slot)
            ).fetchone()
        if row and row[0]:
            return True
    return False
