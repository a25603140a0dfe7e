"""Lanes: all rows or an error, in the file's order, and never more than a few blocks at once."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial

import numpy as np
import psycopg
import pytest

from loader.copy import database as connections
from loader.copy import lanes, relation, shadow
from loader.errors import (
    DatabaseError,
    DatabaseUnreachable,
    RowRefused,
    SourceUnreachable,
    ValueDoesNotFit,
)
from loader.formats.csv import blocks
from loader.formats.csv.blocks import CsvBlock
from loader.options import Options
from loader.pipeline.load import load
from loader.types.column import Column

ROWS_PER_BLOCK = 100


def block(number: int) -> CsvBlock:
    first = number * ROWS_PER_BLOCK + 1
    lines = [f"{i},name {i}\n".encode() for i in range(first, first + ROWS_PER_BLOCK)]
    return CsvBlock(number, b"".join(lines), np.cumsum([len(line) for line in lines]), first, first)


def encode(block: CsvBlock) -> list[bytes]:
    """The rows are numbered already."""
    return [block.data]


class Table:
    """A shadow table, and as many lanes into it as a test asks for."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self._url, self._stack = url, stack
        self.watch = self.connect("watch")
        self.names = relation.name("t")
        shadow.create(relation.Relation(self.watch, self.names), [Column("name", "text")], None)

    def connect(self, purpose: str) -> psycopg.Connection:
        return self._stack.enter_context(closing(connections.connect(self._url, purpose)))

    def copy(self, blocks: Iterator[CsvBlock], count: int, encode=encode) -> int:
        return lanes.copy(
            blocks,
            partial(map, encode),
            [self.connect(f"lane {i}") for i in range(count)],
            lanes.statement(self.names.shadow, ["name"], ","),
            self.watch,
        )

    def count(self) -> int:
        return self.watch.execute(f'SELECT count(*) FROM "{self.names.shadow}"').fetchone()[0]


@pytest.fixture
def table(datastore_url_18) -> Iterator[Table]:
    with ExitStack() as stack:
        yield Table(datastore_url_18, stack)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_row_arrives_once(table, count):
    assert table.copy((block(i) for i in range(50)), count) == 5000
    rows = table.watch.execute(f'SELECT _id, name FROM "{table.names.shadow}" ORDER BY _id')
    assert rows.fetchall() == [(i, f"name {i}") for i in range(1, 5001)]


def test_no_blocks_are_no_rows(table):
    assert table.copy(iter(()), 2) == 0


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_table_does_not_depend_on_the_lanes(
    database_18, datastore_url_18, tmp_path, monkeypatch, count
):
    monkeypatch.setattr(blocks, "cut", partial(blocks.cut, block_bytes=1000))
    path = tmp_path / "t.csv"
    path.write_text("n,name\n" + "".join(f"{i},name {i}\n" for i in range(3000)))
    load(str(path), Options("t", datastore_url_18, lanes=count))
    rows = database_18.execute("SELECT _id, n, name FROM t ORDER BY _id")
    assert rows.fetchall() == [(i + 1, i, f"name {i}") for i in range(3000)]


def test_memory_is_bounded(table):
    """A reader that is faster than the lanes has to wait for them."""
    lead, read, done = [], 0, 0

    def reader() -> Iterator[CsvBlock]:
        nonlocal read
        for i in range(30):
            lead.append(read - done)
            yield block(i)
            read += 1

    def slow(block: CsvBlock) -> list[bytes]:
        nonlocal done
        time.sleep(0.01)
        done += 1
        return encode(block)

    assert table.copy(reader(), 2, slow) == 3000
    # One in each lane, one waiting for each, and the one in the reader's hand.
    assert max(lead) <= 5


def test_an_error_in_one_lane_stops_all_and_nothing_is_kept(table):
    threads = set()
    both = threading.Barrier(2)

    def fail_late(block: CsvBlock) -> list[bytes]:
        if threading.current_thread().name not in threads:
            threads.add(threading.current_thread().name)
            both.wait(60)
        if block.number == 20:
            raise RowRefused("no")
        return encode(block)

    read = []

    def reader() -> Iterator[CsvBlock]:
        for i in range(10_000):
            read.append(i)
            yield block(i)

    with pytest.raises(RowRefused):
        table.copy(reader(), 2, fail_late)
    assert len(read) < 5000
    assert len(threads) == 2
    assert table.count() == 0


def test_a_row_that_postgres_refuses_stops_all(table):
    def twice(block: CsvBlock) -> list[bytes]:
        return [b"not a number,x\n"] if block.number == 3 else encode(block)

    with pytest.raises(RowRefused, match="invalid input syntax for type integer"):
        table.copy((block(i) for i in range(10)), 2, twice)


def test_an_error_of_the_reader_stops_all_and_nothing_is_kept(table):
    def reader() -> Iterator[CsvBlock]:
        for i in range(20):
            yield block(i)
        raise SourceUnreachable("gone")

    with pytest.raises(SourceUnreachable):
        table.copy(reader(), 2)
    assert table.count() == 0


def test_an_abandoned_copy_still_shows_every_block(table):
    """What widens a column may come once more after the first time."""
    seen = []

    def abandon(block: CsvBlock) -> list[bytes] | None:
        seen.append(block.number)
        return None if block.number >= 3 else encode(block)

    assert table.copy((block(i) for i in range(40)), 1, abandon) == 0
    assert seen == list(range(40))
    assert table.count() == 0


def test_an_error_after_the_copy_was_abandoned_ends_the_load(table):
    """The only lane is gone by then: nobody else takes blocks from the reader."""

    def abandon_and_fail(block: CsvBlock) -> None:
        if block.number == 6:
            raise RowRefused("no")

    with pytest.raises(RowRefused):
        table.copy((block(i) for i in range(100)), 1, abandon_and_fail)


def test_a_copy_that_the_server_gave_up_stops_the_reader(table, monkeypatch):
    """libpq would only look at the end of the data."""
    monkeypatch.setattr(lanes, "WATCH_EVERY_S", 0.0)
    read = []

    def reader() -> Iterator[CsvBlock]:
        for i in range(2000):
            read.append(i)
            yield block(i)
            time.sleep(0.005)

    def refuse_first(block: CsvBlock) -> list[bytes]:
        return [b"not a number,x\n"] if block.number == 0 else encode(block)

    with pytest.raises(RowRefused, match="invalid input syntax"):
        table.copy(reader(), 2, refuse_first)
    assert len(read) < 1000
    assert table.count() == 0


def test_a_lost_lane_is_noticed(table, monkeypatch):
    monkeypatch.setattr(lanes, "WATCH_EVERY_S", 0.0)

    def reader() -> Iterator[CsvBlock]:
        yield block(0)
        table.watch.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name LIKE 'aircan lane%' AND datname = current_database()"
        )
        yield block(1)

    with pytest.raises(DatabaseUnreachable):
        table.copy(reader(), 1)
    assert table.count() == 0


def wait_until_stuck(connection: psycopg.Connection) -> None:
    end = time.monotonic() + 30
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while connection.execute(query).fetchone() == (0,):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_interrupt_does_not_wait_for_a_server_that_is_stuck(table):
    """Somebody else's lock keeps the lanes from their first row."""
    blocker = table.connect("blocker")
    blocker.execute("BEGIN")
    blocker.execute(f'LOCK TABLE "{table.names.shadow}" IN ACCESS EXCLUSIVE MODE')

    def reader() -> Iterator[CsvBlock]:
        yield block(0)
        wait_until_stuck(table.watch)
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        table.copy(reader(), 1)
    assert time.monotonic() - began < 20
    blocker.execute("ROLLBACK")
    assert table.count() == 0


def stick(table: Table) -> psycopg.Connection:
    """Let the server of a lane wait for the connection returned, in the middle of its COPY."""
    blocker = table.connect("blocker")
    # So that a lane that is waited for fails the test, and does not stop it for ever.
    blocker.execute("SET idle_session_timeout = '30s'")
    blocker.execute("SELECT pg_advisory_lock(1)")
    blocker.execute(
        "CREATE FUNCTION stick() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.name = 'stuck' THEN PERFORM pg_advisory_lock(1); END IF; RETURN NEW; END $$;"
        f'CREATE TRIGGER stick BEFORE INSERT ON "{table.names.shadow}"'
        " FOR EACH ROW EXECUTE FUNCTION stick()"
    )
    return blocker


MUCH = b"2,more than libpq keeps for itself\n" * 100_000
STUCK = b"1,stuck\n" + MUCH


def test_a_lane_that_fails_does_not_wait_for_one_that_is_stuck(table):
    stick(table)
    other = table.connect("other")

    def one_stuck_one_failing(block: CsvBlock) -> list[bytes]:
        if block.number == 0:
            return [STUCK]
        wait_until_stuck(other)
        raise RowRefused("no")

    began = time.monotonic()
    with pytest.raises(RowRefused, match="no"):
        table.copy((block(i) for i in range(2)), 2, one_stuck_one_failing)
    assert time.monotonic() - began < 20
    assert table.count() == 0


def test_the_lanes_are_watched_also_while_the_queue_is_full(table, monkeypatch):
    monkeypatch.setattr(lanes, "WATCH_EVERY_S", 0.0)
    encoded = []

    def slow(block: CsvBlock) -> Iterator[bytes]:
        encoded.append(block.number)
        time.sleep(0.5)  # the next block waits in the queue, and the reader with another
        yield b"not a number,x\n" + MUCH
        time.sleep(2)

    with pytest.raises(RowRefused, match="invalid input syntax"):
        table.copy((block(i) for i in range(10)), 1, slow)
    assert encoded == [0]


def test_of_two_errors_the_earlier_row_is_told(table):
    """Whichever lane comes to it first."""
    second_failed = threading.Event()

    def both_fail(block: CsvBlock) -> list[bytes]:
        if block.number == 0:
            assert second_failed.wait(30)
            time.sleep(0.1)
        else:
            second_failed.set()
        raise ValueDoesNotFit("no", row=block.first_row)

    with pytest.raises(ValueDoesNotFit) as told:
        table.copy((block(i) for i in range(2)), 2, both_fail)
    assert told.value.row == 1
    assert table.count() == 0


def test_an_interrupt_while_the_lanes_start_stops_those_that_run(table, monkeypatch):
    started = []

    class Interrupted(lanes.ThreadPoolExecutor):
        def submit(self, *arguments, **options):
            if started:
                raise KeyboardInterrupt
            started.append(super().submit(*arguments, **options))
            return started[0]

    monkeypatch.setattr(lanes, "ThreadPoolExecutor", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        table.copy((block(i) for i in range(10)), 2)
    assert started[0].done()
    assert table.count() == 0


def test_a_copy_into_a_table_that_is_gone(table):
    table.watch.execute(f'DROP TABLE "{table.names.shadow}"')
    with pytest.raises(DatabaseError, match="does not exist"):
        table.copy((block(i) for i in range(10)), 2)
