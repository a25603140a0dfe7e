"""Blocks -> rows in the shadow table, in parallel lanes.

A lane is a connection with one COPY that lasts for the whole load, and a thread that verifies and
encodes blocks for it. Arrow, NumPy and libpq release the GIL, so two lanes keep two cores busy.
Holds one block per lane and as many waiting.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import locks
from loader.copy.database import ours
from loader.copy.relation import qualified
from loader.errors import AircanError

# When one lane fails, psycopg logs what the others met as they were stopped. Without a handler
# Python would print that to stderr, below the one error that the caller gets.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

WATCH_EVERY_S = 1.0
_CANCEL_TIMEOUT_S = 5.0
_STOP_POLL_S = 0.2  # how soon a failed lane is noticed while all queues are full

Buffer = bytes | memoryview
_Item = TypeVar("_Item")  # what a lane encodes: a block, verified or not
# A lane's share of the blocks -> the COPY text of each, in pieces; None: all that was copied is of
# no use. The blocks are taken from the queue as the text is asked for.
Stages = Callable[[Iterator[_Item]], Iterator["Iterable[Buffer] | None"]]


@dataclass(frozen=True)
class Statement:
    """A COPY, and the table that it fills."""

    table: sql.Identifier
    copy: sql.Composed


class _Abandoned(Exception):
    """Ends a lane's COPY without error: nothing that it sent is kept."""


@dataclass
class _Feed(Generic[_Item]):
    """The queue between the reader and the lanes; None ends a lane."""

    blocks: queue.Queue[_Item | None]
    watch: psycopg.Connection[TupleRow]
    watched: float = field(default_factory=time.monotonic)
    failed: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)  # of lanes, as they came
    # Process ids of the lanes' servers.
    copying: set[int] = field(default_factory=set)
    given_up: set[int] = field(default_factory=set)

    def put(self, block: _Item | None) -> None:
        taken = False
        while not taken and not self.failed.is_set():
            with suppress(queue.Full):
                self.blocks.put(block, timeout=_STOP_POLL_S)
                taken = True
            # Also while the queue is full: a lane that is stuck may be why.
            if time.monotonic() - self.watched > WATCH_EVERY_S:
                _watch(self)

    def take(self) -> _Item | None:
        while not self.failed.is_set():
            try:
                return self.blocks.get(timeout=_STOP_POLL_S)
            except queue.Empty:
                continue
        return None


def statement(
    table: str, columns: Sequence[str], delimiter: str, *, full_text: bool = False
) -> Statement:
    """Return the COPY of ``_id`` and the columns from CSV with this delimiter.

    Args:
        table: The shadow.
        columns: In the order of the CSV.
        delimiter: Between cells.
        full_text: Whether ``_full_text`` comes first.
    """
    leading = ("_full_text", "_id") if full_text else ("_id",)
    names = sql.SQL(", ").join(map(sql.Identifier, (*leading, *columns)))
    copy_ = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, DELIMITER {})").format(
        qualified(table), names, sql.Literal(delimiter)
    )
    return Statement(qualified(table), copy_)


def copy(
    blocks: Iterable[_Item],
    stages: Stages[_Item],
    connections: Sequence[psycopg.Connection[TupleRow]],
    copy_statement: Statement,
    watch: psycopg.Connection[TupleRow],
) -> int:
    """Send every block through one of the lanes.

    Args:
        blocks: Read in the calling thread.
        stages: Called once in each lane's thread. A None abandons all that was copied; the blocks
            that follow still go through the stages, for what these learn from them.
        connections: One for each lane, in autocommit mode.
        copy_statement: From ``statement``.
        watch: One more connection, on which the server is asked how the lanes are.

    Returns:
        How many rows the server has taken; 0 when abandoned.

    Raises:
        AircanError: The first error of the reader or of a lane; of several errors of lanes that
            name a row, the one of the earliest row. The table is of no use then: a lane that had
            ended before may have left its rows.
    """
    feed: _Feed[_Item] = _Feed(queue.Queue(maxsize=len(connections)), watch)
    with ThreadPoolExecutor(len(connections), thread_name_prefix="lane") as threads:
        try:
            # In here, because an interrupt may come when only the first of them runs.
            lanes = [
                threads.submit(_lane, feed, stages, connection, copy_statement)
                for connection in connections
            ]
            _feed_all(feed, blocks)
            for _ in lanes:
                feed.put(None)
            wait(lanes, return_when=FIRST_EXCEPTION)
        except BaseException:
            _stop(feed, connections)
            raise
        if feed.errors:
            _stop(feed, connections)
    # All lanes have ended, also one that was at an earlier block when another failed.
    if feed.errors:
        raise min(feed.errors, key=_row)
    return sum(lane.result() for lane in lanes)


def _row(error: BaseException) -> float:
    """Return where in the file an error is; one without a place comes after those with one."""
    row = error.row if isinstance(error, AircanError) else None
    return math.inf if row is None else row


def _stop(feed: _Feed[_Item], connections: Sequence[psycopg.Connection[TupleRow]]) -> None:
    feed.failed.set()  # each lane sees it before its next block
    for connection in connections:  # and need not wait for a server that is stuck
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=_CANCEL_TIMEOUT_S)


def _feed_all(feed: _Feed[_Item], blocks: Iterable[_Item]) -> None:
    """Feed the lanes until the blocks end or a lane fails."""
    for block in blocks:
        feed.put(block)
        if feed.failed.is_set():
            return


def _watch(feed: _Feed[_Item]) -> None:
    """Stop the lanes if the server has given up one of their COPYs.

    libpq does not look at the server's answer before the end of the data: a disk that is full in
    the middle of a large file would be noticed after the rest of it.
    """
    copying = set(feed.copying)
    with ours("watching the lanes"), feed.watch.transaction():
        # The states of sessions are shown to the role that has logged in with them.
        feed.watch.execute("SET LOCAL ROLE NONE")
        rows = feed.watch.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE pid = ANY (%s) AND state IN ('active', 'disabled')",
            (list(copying),),
        ).fetchall()
    # Less those that their lanes have ended meanwhile.
    feed.given_up.update((copying - {row[0] for row in rows}) & feed.copying)
    feed.watched = time.monotonic()
    if feed.given_up:
        feed.failed.set()


def _lane(
    feed: _Feed[_Item],
    stages: Stages[_Item],
    connection: psycopg.Connection[TupleRow],
    copy_statement: Statement,
) -> int:
    rows = 0
    try:
        encoded = stages(iter(feed.take, None))
        with suppress(_Abandoned), ours("copying rows", with_rows=True):
            rows = _copy_blocks(feed, encoded, connection, copy_statement)
        for _ in encoded:  # the blocks behind the one that made the lane give up, if it did
            continue
    except BaseException as error:
        feed.errors.append(error)
        feed.failed.set()
        raise
    return rows


def _copy_blocks(
    feed: _Feed[_Item],
    encoded: Iterator[Iterable[Buffer] | None],
    connection: psycopg.Connection[TupleRow],
    copy_statement: Statement,
) -> int:
    with connection.transaction(), connection.cursor() as cursor:
        _lock(feed, connection, copy_statement.table)
        # Not the id that libpq has: a connection pooler makes that up.
        server = cursor.execute("SELECT pg_backend_pid()").fetchall()[0][0]
        with cursor.copy(copy_statement.copy) as stream:
            feed.copying.add(server)
            try:
                _write_blocks(encoded, stream)
                if feed.failed.is_set() and server not in feed.given_up:
                    raise _Abandoned
                # Otherwise the end of the data brings the server's answer, good or bad.
            finally:
                feed.copying.discard(server)
        return cursor.rowcount


def _lock(
    feed: _Feed[_Item], connection: psycopg.Connection[TupleRow], table: sql.Identifier
) -> None:
    """Get the lock that the COPY needs, before which nothing has been taken from the queue."""
    statement = sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(table)

    def lock() -> None:
        if feed.failed.is_set():
            raise _Abandoned
        connection.execute(statement)

    locks.retry(connection, "copying rows", [table], lock)
    # A COPY waits for one other lock, to extend the table, which nobody holds for long.
    connection.execute("SET LOCAL lock_timeout = 0")


def _write_blocks(encoded: Iterable[Iterable[Buffer] | None], stream: psycopg.Copy) -> None:
    for pieces in encoded:
        if pieces is None:
            raise _Abandoned
        for piece in pieces:
            stream.write(piece)
