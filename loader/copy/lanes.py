"""Blocks -> rows in the shadow table, in parallel lanes.

A lane is a connection with one COPY that lasts for the whole load, and a thread that encodes
blocks for it. Arrow, NumPy and libpq release the GIL, so two lanes keep two cores busy. Holds
one block per lane and as many waiting.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.blocks import Block
from loader.copy.database import ours
from loader.copy.relation import qualified

_STOP_POLL_S = 0.2  # how soon a failed lane is noticed while all queues are full

Buffer = bytes | memoryview
Encode = Callable[[Block], "Iterable[Buffer] | None"]


class _Abandoned(Exception):
    """Ends a lane's COPY without error: nothing that it sent is kept."""


@dataclass(frozen=True)
class _Feed:
    """The queue between the reader and the lanes; None ends a lane."""

    blocks: queue.Queue[Block | None]
    failed: threading.Event

    def put(self, block: Block | None) -> None:
        while not self.failed.is_set():
            try:
                self.blocks.put(block, timeout=_STOP_POLL_S)
            except queue.Full:
                continue
            return

    def take(self) -> Block | None:
        while not self.failed.is_set():
            try:
                return self.blocks.get(timeout=_STOP_POLL_S)
            except queue.Empty:
                continue
        return None


def statement(table: str, columns: Sequence[str], delimiter: str) -> sql.Composed:
    """Return the COPY of ``_id`` and the columns from CSV with this delimiter."""
    names = sql.SQL(", ").join(sql.Identifier(column) for column in ("_id", *columns))
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, DELIMITER {})").format(
        qualified(table), names, sql.Literal(delimiter)
    )


def copy(
    blocks: Iterable[Block],
    encode: Encode,
    connections: Sequence[psycopg.Connection[TupleRow]],
    copy_statement: sql.Composed,
) -> int:
    """Send every block through one of the lanes.

    Args:
        blocks: Read in the calling thread.
        encode: Called in a lane's thread: COPY text of a block. None abandons all that was
            copied; the blocks that follow are still handed to it, for what it learns from them.
        connections: One for each lane, in autocommit mode.
        copy_statement: From ``statement``.

    Returns:
        How many rows the server has taken; 0 when abandoned.

    Raises:
        AircanError: The first error of the reader or of a lane. No lane's rows are kept.
    """
    feed = _Feed(queue.Queue(maxsize=len(connections)), threading.Event())
    with ThreadPoolExecutor(len(connections), thread_name_prefix="lane") as threads:
        lanes = [
            threads.submit(_lane, feed, encode, connection, copy_statement)
            for connection in connections
        ]
        try:
            for block in blocks:
                feed.put(block)
                if feed.failed.is_set():
                    break
            for _ in lanes:
                feed.put(None)
            wait(lanes, return_when=FIRST_EXCEPTION)
        except BaseException:
            feed.failed.set()  # each lane sees it before its next block
            raise
    return sum(lane.result() for lane in lanes)


def _lane(
    feed: _Feed,
    encode: Encode,
    connection: psycopg.Connection[TupleRow],
    copy_statement: sql.Composed,
) -> int:
    try:
        with ours("copying rows"):
            return _copy_blocks(feed, encode, connection, copy_statement)
    except _Abandoned:
        while (block := feed.take()) is not None:
            encode(block)
        return 0
    except BaseException:
        feed.failed.set()
        raise


def _copy_blocks(
    feed: _Feed,
    encode: Encode,
    connection: psycopg.Connection[TupleRow],
    copy_statement: sql.Composed,
) -> int:
    with connection.cursor() as cursor:
        with cursor.copy(copy_statement) as stream:
            while (block := feed.take()) is not None:
                pieces = encode(block)
                if pieces is None:
                    raise _Abandoned
                for piece in pieces:
                    stream.write(piece)
            if feed.failed.is_set():
                raise _Abandoned
        return cursor.rowcount
