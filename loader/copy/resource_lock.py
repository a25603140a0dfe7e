"""A resource -> its lock, which keeps a second load away; or LoadInProgress.

It is an advisory lock whose key is the hash that the names of the resource's shadows hold: whoever
has it knows that every other shadow of that resource is an orphan. Holds nothing.
"""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from loader.copy.database import ours
from loader.copy.relation import Relation, digest
from loader.errors import LoadInProgress
from loader.net.retry import Attempts, Backoff

# The server needs a moment to notice that the last load has closed its connection.
_GIVE_UP_AFTER_S = 1.0
_PAUSE_S = 0.05


def take(relation: Relation) -> None:
    """Take the resource's lock, held until the connection closes.

    Raises:
        LoadInProgress: Another load of this resource is running.
    """
    for _ in Attempts(Backoff.steady(_PAUSE_S), limit_s=_GIVE_UP_AFTER_S):
        if _try(relation):
            return
    raise LoadInProgress(
        f"another load of {relation.name} is running in this database",
        hint="wait until it has ended, then load again",
    )


def _try(relation: Relation) -> bool:
    with ours("locking the resource"):
        row = relation.connection.execute(
            "SELECT pg_try_advisory_lock(%s)", (key_of(digest(relation.name)),)
        ).fetchone()
    return bool(row and row[0])


def take_for_now(connection: psycopg.Connection[TupleRow], resource_id: str) -> bool:
    """Take a resource's lock until the transaction's end; return False if it is being loaded."""
    with ours("looking for running loads"):
        row = connection.execute(
            "SELECT pg_try_advisory_xact_lock(%s)", (key_of(digest(resource_id)),)
        ).fetchone()
    return bool(row and row[0])


def key_of(digest_: str) -> int:
    """Return the key of the advisory lock of a resource, by its ``digest``."""
    return int.from_bytes(bytes.fromhex(digest_), "big", signed=True)
