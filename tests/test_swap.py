"""Readers see the old table until the new one is whole, and nothing else is touched."""

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager

import psycopg
import pytest
from datastore import rows_of, shadows

from loader.copy import swap
from loader.errors import DependentObjects, LoadInProgress, NotADataStoreTable, TableBusy
from loader.pipeline import Options, load
from loader.progress import Silent


def write(path, count: int) -> str:
    path.write_text("n,name\n" + "".join(f"{i},name {i}\n" for i in range(count)))
    return str(path)


@pytest.fixture
def first(tmp_path) -> str:
    return write(tmp_path / "first.csv", 1000)


@pytest.fixture
def second(tmp_path) -> str:
    return write(tmp_path / "second.csv", 1500)


class AtStep(Silent):
    """Does something when a step of the load begins."""

    def __init__(self, step: str, action: Callable[[], object]) -> None:
        self._step, self._action = step, action

    def begin(self, title: str) -> None:
        if title == self._step:
            self._action()


class Reader(threading.Thread):
    """Reads in a loop as fast as it can; keeps what it saw and how long it waited."""

    def __init__(self, url: str, query: str, *, prepare: bool) -> None:
        super().__init__()
        self.seen: set[object] = set()
        self.longest_s = 0.0
        self.error: psycopg.Error | None = None
        self.reads = 0
        self._url, self._query, self._prepare = url, query, prepare
        self._end = threading.Event()

    def run(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True) as connection:
                while not self._end.is_set():
                    began = time.monotonic()
                    row = connection.execute(self._query, prepare=self._prepare).fetchone()
                    self.longest_s = max(self.longest_s, time.monotonic() - began)
                    self.seen.add(row[0])
                    self.reads += 1
        except psycopg.Error as error:
            self.error = error

    def stop(self) -> None:
        self._end.set()
        self.join()


def test_readers_never_notice_a_reload(datastore_url, first, second):
    options = Options("t", datastore_url)
    load(first, options)
    queries = ["SELECT count(*) FROM t", "SELECT max(n) + 1 FROM t WHERE name LIKE 'name%'"]
    readers = [
        Reader(datastore_url, query, prepare=prepare)
        for query in queries
        for prepare in (False, True)
    ]
    for reader in readers:
        reader.start()
    for source in (second, first, second, first, second):
        load(source, options)
    for reader in readers:
        reader.stop()
    for reader in readers:
        assert reader.error is None
        assert reader.seen == {1000, 1500}
        assert reader.longest_s < 1.0
        assert reader.reads > 10


@contextmanager
def long_reader(url: str):
    """A transaction that has read the table and goes on."""
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1000,)
        yield connection


def test_the_swap_waits_for_a_long_reader_and_lets_others_pass(
    datastore_url_18, database_18, first, second
):
    load(first, Options("t", datastore_url_18))
    others = Reader(datastore_url_18, "SELECT count(*) FROM t", prepare=False)
    with long_reader(datastore_url_18) as reading:

        def release() -> None:
            time.sleep(1.5)
            reading.rollback()

        releasing = threading.Thread(target=release)
        others.start()
        load(
            second,
            Options("t", datastore_url_18),
            AtStep("swapping the tables", releasing.start),
        )
        releasing.join()
    others.stop()
    assert others.error is None
    assert others.longest_s < 1.0
    assert database_18.execute("SELECT count(*) FROM t").fetchone() == (1500,)


def test_a_table_that_stays_busy_keeps_its_rows(
    datastore_url_18, database_18, first, second, monkeypatch
):
    monkeypatch.setattr(swap, "PATIENCE_S", 0.5)
    load(first, Options("t", datastore_url_18))
    with long_reader(datastore_url_18), pytest.raises(TableBusy) as busy:
        load(second, Options("t", datastore_url_18))
    assert busy.value.retryable
    assert "load again later" in busy.value.hint
    assert database_18.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    assert shadows(database_18) == []


DEPENDENTS = {
    "view": ('CREATE VIEW "my view" AS SELECT n FROM t', 'view "my view"'),
    "materialized view": ("CREATE MATERIALIZED VIEW m AS SELECT n FROM t", "view m"),
    "foreign key": (
        "CREATE TABLE other (id integer CONSTRAINT points REFERENCES t (_id))",
        "foreign key points of other",
    ),
}


@pytest.mark.parametrize(("create", "named"), DEPENDENTS.values(), ids=DEPENDENTS)
def test_what_depends_on_the_table_is_named_before_anything_is_read(
    datastore_url, database, first, tmp_path, create, named
):
    load(first, Options("t", datastore_url))
    database.execute(create)
    with pytest.raises(DependentObjects) as refused:
        load(str(tmp_path / "does not exist.csv"), Options("t", datastore_url))
    assert named in str(refused.value)
    assert database.execute("SELECT count(*) FROM t").fetchone() == (1000,)


@pytest.mark.parametrize(
    "create",
    [
        "CREATE VIEW late AS SELECT n FROM t",
        # Nothing that AirCan looks for itself: Postgres names it.
        "CREATE FUNCTION late(t) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
    ],
    ids=["view", "function"],
)
def test_what_came_to_depend_on_the_table_during_the_load_is_named(
    datastore_url_18, database_18, first, second, create
):
    load(first, Options("t", datastore_url_18))
    progress = AtStep("swapping the tables", lambda: database_18.execute(create))
    with pytest.raises(DependentObjects, match="late"):
        load(second, Options("t", datastore_url_18), progress)
    assert database_18.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    assert shadows(database_18) == []


OTHERS = {
    "view": "CREATE VIEW t AS SELECT 1 AS _id, ''::tsvector AS _full_text",
    "materialized view": "CREATE MATERIALIZED VIEW t AS SELECT 1 AS _id, ''::tsvector _full_text",
    "table": "CREATE TABLE t (_id integer, name text)",
    "partitioned table": (
        "CREATE TABLE t (_id integer, _full_text tsvector) PARTITION BY RANGE (_id)"
    ),
    "sequence": "CREATE SEQUENCE t",
    "foreign table": (
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;"
        "CREATE FOREIGN TABLE t (_id integer, _full_text tsvector) SERVER nowhere"
    ),
}


@pytest.mark.parametrize("create", OTHERS.values(), ids=OTHERS)
def test_somebody_elses_relation_is_left_alone(datastore_url_18, database_18, first, create):
    database_18.execute(create)
    before = database_18.execute("SELECT 't'::regclass::oid").fetchone()
    with pytest.raises(NotADataStoreTable) as refused:
        load(first, Options("t", datastore_url_18))
    assert "--resource-id" in refused.value.hint
    assert database_18.execute("SELECT 't'::regclass::oid").fetchone() == before


def test_somebody_elses_table_that_came_during_the_load_is_left_alone(
    datastore_url_18, database_18, first
):
    create = "CREATE TABLE t (name text); INSERT INTO t VALUES ('theirs')"
    progress = AtStep("swapping the tables", lambda: database_18.execute(create))
    with pytest.raises(NotADataStoreTable):
        load(first, Options("t", datastore_url_18), progress)
    assert database_18.execute("SELECT * FROM t").fetchall() == [("theirs",)]
    assert shadows(database_18) == []


def test_the_second_of_two_loads_of_one_resource_says_so_and_stops(
    datastore_url_18, database_18, first, second
):
    stopped = []

    def load_too() -> None:
        with pytest.raises(LoadInProgress) as refused:
            load(second, Options("t", datastore_url_18))
        stopped.append(refused.value)

    load(first, Options("t", datastore_url_18), AtStep("copying rows", load_too))
    (error,) = stopped
    assert error.retryable
    assert "another load of t" in str(error)
    assert database_18.execute("SELECT count(*) FROM t").fetchone() == (1000,)


def test_different_resources_load_side_by_side(datastore_url_18, database_18, first, second):
    def load_other() -> None:
        load(second, Options("u", datastore_url_18))

    load(first, Options("t", datastore_url_18), AtStep("copying rows", load_other))
    assert database_18.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    assert database_18.execute("SELECT count(*) FROM u").fetchone() == (1500,)


def test_the_new_table_takes_all_names_of_the_old_one(datastore_url, database, first, second):
    options = Options("t", datastore_url)
    load(first, options)
    query = (
        "SELECT relname, relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = 'public' ORDER BY 1"
    )
    before = database.execute(query).fetchall()
    load(second, options)
    assert database.execute(query).fetchall() == before
    assert [name for name, kind in before if kind in "rS"] == ["t", "t__id_seq"]
    assert len(rows_of(database, "t")) == 1500
