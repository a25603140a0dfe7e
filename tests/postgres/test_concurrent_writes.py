"""What others write into a table while it is replaced: counted, kept or refused, not just gone."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import quote

import psycopg
import pytest
from cases import in_turn, pairwise
from datastore import create, install_ckan, rows_of, shadows, wait_for
from test_swap import AtStep, Reader, write

from loader.copy import concurrent_rows, concurrent_writes, free_ids, gaps, locks
from loader.errors import NotADataStoreTable, TableChanged
from loader.options import Options
from loader.pipeline.load import load

INSERTED = "rows that others inserted during the load, gone with the old table: {}"
KEPT = "rows that others inserted during the load, kept behind those of the file: {}"
STEPS = ("reading the header", "copying rows", "adding the primary key", "swapping the tables")


@pytest.fixture
def table(datastore_url, database, tmp_path) -> Callable[..., Options]:
    """A table of 1,000 rows, and the options to replace it."""
    install_ckan(database)
    load(write(tmp_path / "first.csv", 1000), Options("t", datastore_url))
    return lambda **options: Options("t", datastore_url, **options)


@pytest.fixture
def second(tmp_path) -> str:
    return write(tmp_path / "second.csv", 1500)


def inserting(url: str, count: int, start: int = 0, table: str = "t") -> Callable[[], None]:
    """Return what inserts rows, as CKAN's API does, in a session of its own."""

    def insert() -> None:
        with psycopg.connect(url) as connection:
            connection.execute(
                f"INSERT INTO {table} (n, name) SELECT i, 'guest ' || i"
                " FROM generate_series(%s::int, %s) AS i",
                (start, start + count - 1),
            )

    return insert


def theirs(database) -> list[tuple]:
    return [row for row in rows_of(database, "t") if row[1].startswith("guest")]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("count", [1, 216])
def test_rows_that_are_gone_are_counted(datastore_url, database, table, second, step, count):
    report = load(second, table(), AtStep(step, inserting(datastore_url, count)))
    assert report.warnings == [INSERTED.format(count)]
    assert report.rows == 1500
    assert theirs(database) == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("count", [1, 216])
def test_rows_are_kept(datastore_url, database, table, second, step, count):
    progress = AtStep(step, inserting(datastore_url, count))
    report = load(second, table(on_concurrent_writes="keep"), progress)
    assert report.warnings == [KEPT.format(count)]
    assert report.rows == 1500 + count
    assert theirs(database) == [(i, f"guest {i}") for i in range(count)]
    ids = database.execute("SELECT min(_id), max(_id) FROM t WHERE name LIKE 'guest%'").fetchone()
    assert ids == (1501, 1500 + count)
    found = database.execute(
        "SELECT count(*) FROM t WHERE _full_text @@ plainto_tsquery('guest')"
        " AND _full_text @@ plainto_tsquery(n::text)"
    )
    assert found.fetchone() == (count,)
    assert database.execute("SELECT cached_table_row_count('t')").fetchone() == (1500 + count,)
    database.execute("INSERT INTO t (name) VALUES ('next')")
    assert database.execute("SELECT max(_id) FROM t").fetchone() == (1501 + count,)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("count", [1, 216])
def test_a_load_is_refused(datastore_url, database, table, second, step, count):
    progress = AtStep(step, inserting(datastore_url, count))
    with pytest.raises(TableChanged) as refused:
        load(second, table(on_concurrent_writes="refuse"), progress)
    assert f"others changed t during the load: {count} rows inserted" in str(refused.value)
    assert not refused.value.retryable, "at once, it would replace these rows"
    assert len(theirs(database)) == count
    assert len(rows_of(database, "t")) == 1000 + count
    assert shadows(database) == []


def running(url: str, *statements: str) -> Callable[[], None]:
    """Return what runs statements, each by itself, in a session of its own."""

    def run() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    return run


EMPTIED = "others emptied the old table during the load"


@pytest.mark.parametrize(
    ("policy", "count", "restart", "step"),
    pairwise(
        ["warn", "keep", "refuse"],
        [0, 216, 5000],
        ["RESTART IDENTITY", "CONTINUE IDENTITY"],
        STEPS[1::2],
    ),
)
def test_rows_of_a_table_that_was_emptied_are_all_theirs(
    datastore_url_18, database_18, tmp_path, step, restart, count, policy
):
    """As ckanext-xloader empties one before it copies."""
    install_ckan(database_18)
    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    load(write(tmp_path / "first.csv", 1000), options)
    put = (
        f"INSERT INTO t (n, name) SELECT i, 'guest ' || i FROM generate_series(0, {count - 1}) AS i"
    )
    act = AtStep(step, running(datastore_url_18, f"TRUNCATE t {restart}", put))
    second = write(tmp_path / "second.csv", 1500)
    if policy == "refuse":
        said = "the table was emptied" + (f", {count} rows inserted" if count else "")
        with pytest.raises(TableChanged, match=f"others changed t during the load: {said}"):
            load(second, options, act)
    else:
        told = KEPT if policy == "keep" else INSERTED
        warnings = load(second, options, act).warnings
        assert warnings.pop(0) == EMPTIED
        assert warnings == ([told.format(count)] if count else [])
    assert len(theirs(database_18)) == (0 if policy == "warn" else count)


WRITTEN_ANEW = [
    "VACUUM FULL t",
    "CLUSTER t USING t_pkey",
    "ALTER TABLE t ALTER n TYPE numeric",
    "ALTER TABLE t ALTER n TYPE numeric; ALTER TABLE t ALTER n TYPE bigint",
    "ALTER TABLE t SET UNLOGGED",
]


@pytest.mark.parametrize(
    ("policy", "statement", "step"),
    pairwise(["warn", "keep", "refuse"], WRITTEN_ANEW, STEPS[1:3]),
)
def test_a_table_that_is_written_anew_is_not_taken_for_an_emptied_one(
    datastore_url_18, database_18, tmp_path, step, statement, policy
):
    install_ckan(database_18)
    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    load(write(tmp_path / "first.csv", 1000), options)
    act = AtStep(step, running(datastore_url_18, *statement.split("; ")))
    warnings = load(write(tmp_path / "second.csv", 1500), options, act).warnings
    assert EMPTIED not in warnings
    assert not any("inserted" in warning for warning in warnings)
    assert len(rows_of(database_18, "t")) == 1500


COLUMNS_CHANGED = [
    "ALTER TABLE t ALTER name SET STATISTICS 300",
    "ALTER TABLE t ALTER n TYPE numeric",
    "ALTER TABLE t ADD COLUMN more int",
    "GRANT SELECT (n) ON t TO PUBLIC",
]


@pytest.mark.parametrize(
    ("policy", "change", "step"),
    pairwise(["warn", "keep", "refuse"], COLUMNS_CHANGED, STEPS[1::2]),
)
def test_rows_of_an_emptied_table_whose_columns_were_changed_are_told(
    datastore_url_18, database_18, tmp_path, step, change, policy
):
    """Which are theirs cannot be: the rows before may have been written anew by the change."""
    install_ckan(database_18)
    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    load(write(tmp_path / "first.csv", 1000), options)
    put = "INSERT INTO t (n, name) SELECT i, 'guest ' || i FROM generate_series(0, 6) AS i"
    act = AtStep(step, running(datastore_url_18, "TRUNCATE t RESTART IDENTITY", change, put))
    second = write(tmp_path / "second.csv", 1500)
    if policy == "warn":
        warnings = load(second, options, act).warnings
        assert any("about 7" in warning for warning in warnings), warnings
    else:
        with pytest.raises(TableChanged, match=r"inserted"):
            load(second, options, act)
        assert len(theirs(database_18)) == 7


@pytest.mark.parametrize("rewrite", ["VACUUM FULL t", "CLUSTER t USING t_pkey"])
@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
def test_a_table_whose_rows_were_all_updated_is_not_taken_for_an_emptied_one(
    datastore_url_18, database_18, tmp_path, rewrite, policy
):
    install_ckan(database_18)
    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    load(write(tmp_path / "first.csv", 1000), options)
    act = AtStep("copying rows", running(datastore_url_18, "UPDATE t SET n = n + 1", rewrite))
    second = write(tmp_path / "second.csv", 1500)
    if policy == "refuse":
        with pytest.raises(TableChanged, match="during the load: about 1000 rows updated"):
            load(second, options, act)
    else:
        (warning,) = load(second, options, act).warnings
        assert "about 1000 rows updated" in warning
        assert len(rows_of(database_18, "t")) == 1500


def test_rows_with_the_ids_of_deleted_ones_are_kept_beside_others(
    datastore_url_18, database_18, tmp_path
):
    """Those others are not in the statistics yet, and may be more."""
    install_ckan(database_18)
    options = Options("t", datastore_url_18, on_concurrent_writes="keep")
    load(write(tmp_path / "first.csv", 1000), options)
    with psycopg.connect(datastore_url_18, autocommit=True) as busy:

        def write_both() -> None:
            running(
                datastore_url_18,
                "DELETE FROM t WHERE _id <= 67",
                "INSERT INTO t (_id, n, name) SELECT i + 1, i, 'guest ' || i"
                " FROM generate_series(0, 66) i",
            )()
            # A session reports at its first commit, and then not before a second has passed.
            busy.execute("CREATE TABLE other (n int); INSERT INTO other VALUES (1)")
            busy.execute(
                "INSERT INTO t (n, name) SELECT i, 'guest ' || i FROM generate_series(67, 366) i"
            )

        second = write(tmp_path / "second.csv", 1500)
        warnings = load(second, options, AtStep("swapping the tables", write_both)).warnings
    assert KEPT.format(367) in warnings
    assert {name for _, name in theirs(database_18)} == {f"guest {i}" for i in range(367)}


@pytest.mark.parametrize("empty", ["TRUNCATE t RESTART IDENTITY", "DELETE FROM t"])
@pytest.mark.parametrize("savepoint", [False, True])
@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
def test_rows_of_a_transaction_that_had_begun_before(
    datastore_url_18, database_18, tmp_path, empty, savepoint, policy
):
    """And had written, but not into this table."""
    install_ckan(database_18)
    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    load(write(tmp_path / "first.csv", 1000), options)
    with psycopg.connect(datastore_url_18) as early:
        early.execute("CREATE TABLE other (n int)")
        if savepoint:
            early.execute("SAVEPOINT s; INSERT INTO other VALUES (1)")

        def write_at_last() -> None:
            early.execute(empty)
            early.execute(
                "INSERT INTO t (_id, n, name)"
                " SELECT i + 1, i, 'guest ' || i FROM generate_series(0, 6) i"
            )
            ended(early)

        act = AtStep("copying rows", write_at_last)
        second = write(tmp_path / "second.csv", 1500)
        if policy == "refuse":
            with pytest.raises(TableChanged, match="7 rows inserted"):
                load(second, options, act)
        else:
            warnings = load(second, options, act).warnings
            assert any(" 7" in line and "inserted" in line for line in warnings), warnings
    assert len(theirs(database_18)) == (0 if policy == "warn" else 7)


@pytest.mark.parametrize("state", ["ENABLE", "ENABLE ALWAYS", "DISABLE"])
@pytest.mark.parametrize("count", [1, concurrent_rows.MOST_UNDER_LOCK + 1])
def test_rows_that_are_kept_go_through_no_trigger_again(
    datastore_url_18, database_18, tmp_path, state, count
):
    install_ckan(database_18)
    options = Options("t", datastore_url_18, on_concurrent_writes="keep")
    load(write(tmp_path / "first.csv", 10), options)
    database_18.execute(
        "CREATE TABLE log (name text); CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO log VALUES (NEW.name); NEW.name := NEW.name || '!'; RETURN NEW; END"
        ' $$; CREATE TRIGGER "a %s" BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION mark();'
        f' ALTER TABLE t {state} TRIGGER "a %s"'
    )
    query = "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 't'::regclass ORDER BY 1"
    before = database_18.execute(query).fetchall()
    act = AtStep("swapping the tables", inserting(datastore_url_18, count))
    assert KEPT.format(count) in load(write(tmp_path / "second.csv", 15), options, act).warnings
    marked = "" if state == "DISABLE" else "!"
    assert theirs(database_18) == [(i, f"guest {i}{marked}") for i in range(count)]
    found = database_18.execute("SELECT count(*) FROM log WHERE name LIKE 'guest%%'").fetchone()
    assert found == (count if marked else 0,)
    assert database_18.execute(query).fetchall() == before


@pytest.mark.parametrize("step", STEPS[1::2])
@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
def test_ids_that_rows_have_already_where_that_may_be(
    datastore_url_18, database_18, tmp_path, step, policy
):
    install_ckan(database_18)
    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    load(write(tmp_path / "first.csv", 1000), options)
    database_18.execute("ALTER TABLE t DROP CONSTRAINT t_pkey; CREATE INDEX ON t (_id)")
    put = "INSERT INTO t (_id, n, name) SELECT i + 1, i, 'guest ' || i FROM generate_series(0, 6) i"
    act = AtStep(step, running(datastore_url_18, put))
    second = write(tmp_path / "second.csv", 1500)
    if policy == "refuse":
        with pytest.raises(TableChanged, match="7 rows inserted"):
            load(second, options, act)
    else:
        warnings = load(second, options, act).warnings
        assert any("inserted" in warning for warning in warnings), warnings
    assert len(theirs(database_18)) == (0 if policy == "warn" else 7)


@pytest.mark.parametrize("isolation", ["read\\ committed", "repeatable\\ read", "serializable"])
@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
def test_rows_that_come_while_the_swap_waits_for_its_lock(
    datastore_url_18, database_18, tmp_path, isolation, policy
):
    """Whatever a portal has set for its transactions."""
    install_ckan(database_18)
    setting = f"-c default_transaction_isolation={isolation}"
    url = f"{datastore_url_18}&options={quote(setting)}"
    options = Options("t", url, on_concurrent_writes=policy)
    load(write(tmp_path / "first.csv", 1000), options)
    with psycopg.connect(datastore_url_18) as writer:

        def write_at_last() -> None:
            writer.execute("INSERT INTO t (n, name) VALUES (0, 'guest 0')")
            threading.Thread(target=commit_when_waited_for, args=(datastore_url_18, writer)).start()

        act = AtStep("swapping the tables", write_at_last)
        second = write(tmp_path / "second.csv", 1500)
        if policy == "refuse":
            with pytest.raises(TableChanged, match="1 rows inserted"):
                load(second, options, act)
        else:
            report = load(second, options, act)
            assert report.warnings == [(KEPT if policy == "keep" else INSERTED).format(1)]
    assert len(theirs(database_18)) == (0 if policy == "warn" else 1)


def commit_when_waited_for(url: str, writer: psycopg.Connection) -> None:
    """Commit once somebody waits for a lock on the table."""
    with psycopg.connect(url, autocommit=True) as looking:
        query = "SELECT FROM pg_locks WHERE relation = 't'::regclass AND NOT granted"
        while looking.execute(query).rowcount == 0:
            time.sleep(0.01)
    writer.commit()


@pytest.mark.parametrize("policy", ["warn", "keep"])
@pytest.mark.parametrize("change", ["UPDATE t SET name = name", "DELETE FROM t"])
def test_nor_is_one_whose_last_row_was_changed(
    datastore_url_18, database_18, tmp_path, change, policy
):
    install_ckan(database_18)
    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    load(write(tmp_path / "first.csv", 1000), options)
    statements = f"{change} WHERE _id = 1000", "VACUUM FULL t"
    act = AtStep("copying rows", running(datastore_url_18, *statements))
    warnings = load(write(tmp_path / "second.csv", 1500), options, act).warnings
    assert EMPTIED not in warnings
    assert len(rows_of(database_18, "t")) == 1500


@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
def test_where_nobody_writes_nothing_is_said(table, second, policy):
    assert load(second, table(on_concurrent_writes=policy)).warnings == []


def test_many_rows_are_kept_while_readers_go_on(datastore_url, database, table, second):
    """More than are copied under the swap's lock, and more come while they are."""
    count = 20 * concurrent_rows.MOST_UNDER_LOCK
    reader = Reader(datastore_url, "SELECT count(*) > 0 FROM t", prepare=False)
    reader.start()
    progress = AtStep("swapping the tables", inserting(datastore_url, count))
    report = load(second, table(on_concurrent_writes="keep"), progress)
    reader.stop()
    assert reader.error is None
    assert report.warnings == [KEPT.format(count)]
    assert theirs(database) == [(i, f"guest {i}") for i in range(count)]


class Flood(threading.Thread):
    """Inserts more rows than are copied under the swap's lock, between any two tries."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.count = 0
        self.begun, self.ending = threading.Event(), threading.Event()
        self._url = url

    def run(self) -> None:
        while not self.ending.is_set():
            more = concurrent_rows.MOST_UNDER_LOCK + 1
            inserting(self._url, more, self.count)()
            self.count += more
            self.begun.set()


@pytest.mark.parametrize("patience_s", [0.5, 600.0])
def test_who_inserts_without_end_does_not_keep_a_load_going(
    datastore_url, database, table, second, monkeypatch, patience_s
):
    """Neither is the load given up: in the end writers wait for the swap, as for any lock."""
    monkeypatch.setattr(locks, "GIVE_UP_AFTER_S", patience_s)
    caught_up = []
    flood = Flood(datastore_url)

    def catch_up(*args):
        caught_up.append(args)
        more = concurrent_rows.MOST_UNDER_LOCK + 1
        if len(caught_up) > 50:
            flood.ending.set()
        done = original(*args)
        # Whatever the writer's speed: unless the lock keeps it out, it comes in between.
        threading.Thread(target=inserting(datastore_url, more, -more)).start()
        return done

    original = concurrent_rows.catch_up
    monkeypatch.setattr(concurrent_rows, "catch_up", catch_up)
    progress = AtStep("swapping the tables", lambda: (flood.start(), flood.begun.wait()))
    report = load(second, table(on_concurrent_writes="keep"), progress)
    flood.ending.set()
    flood.join()
    assert len(caught_up) < 50
    (warning,) = report.warnings
    assert int(warning.rsplit(" ", 1)[1]) == report.rows - 1500 > concurrent_rows.MOST_UNDER_LOCK
    found = sorted(n for n, _ in theirs(database) if n >= 0)
    assert found[: flood.count] == list(range(len(found)))


class Writer(threading.Thread):
    """Inserts rows one by one, as fast as it can, with two sessions in turns."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.count = 0
        self._url, self._end = url, threading.Event()

    def run(self) -> None:
        with psycopg.connect(self._url) as one, psycopg.connect(self._url) as other:
            while not self._end.is_set():
                # The second one's row has the greater _id and is seen first.
                for session in (one, other):
                    session.execute("INSERT INTO t (n, name) VALUES (%s, 'guest')", (self.count,))
                    self.count += 1
                other.commit()
                one.commit()

    def stop(self) -> None:
        self._end.set()
        self.join()


@pytest.mark.parametrize("policy", ["keep", "warn"])
def test_no_row_of_a_busy_writer_is_missed(datastore_url, database, table, second, policy):
    writer = Writer(datastore_url)
    writer.start()
    while writer.count < 100:
        time.sleep(0.01)
    report = load(second, table(on_concurrent_writes=policy))
    writer.stop()
    found = sorted(n for n, name in rows_of(database, "t") if name == "guest")
    # Of all that were inserted these are the last ones: none in between is missing, but one that
    # was there before the load, though the one before it was not.
    missing = set(range(found[0], writer.count)) - set(found)
    assert missing <= {found[0] + 1}
    (warning,) = [line for line in report.warnings if "rows that others inserted" in line]
    number = int(warning.rsplit(" ", 1)[1])
    if policy == "keep":
        assert len(found) >= number > 0
    else:
        assert 0 < number <= writer.count - len(found)


def test_who_was_writing_when_the_load_began_is_waited_for(datastore_url, database, table, second):
    """Its rows come first in the table, and are seen last: they belong to the old table."""
    with psycopg.connect(datastore_url) as early:
        early.execute("INSERT INTO t (n, name) VALUES (1, 'guest, early')")
        inserting(datastore_url, 1, 2)()
        threading.Timer(0.5, early.commit).start()
        report = load(second, table(on_concurrent_writes="keep"))
    assert report.warnings == []
    assert len(rows_of(database, "t")) == 1500


@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
def test_rows_of_who_is_not_waited_for_any_longer_have_come_during_the_load(
    datastore_url, database, table, second, monkeypatch, policy
):
    """Though another row, with a higher _id, was there before."""
    monkeypatch.setattr(concurrent_writes, "WRITERS_S", 0.5)
    with ExitStack() as stack:
        early = stack.enter_context(psycopg.connect(datastore_url))
        early.execute("INSERT INTO t (n, name) VALUES (1, 'guest, early')")
        inserting(datastore_url, 1, 2)()
        progress = AtStep("copying rows", lambda: ended(early))
        if policy == "refuse":
            with pytest.raises(TableChanged, match="1 rows inserted"):
                load(second, table(on_concurrent_writes=policy), progress)
        else:
            report = load(second, table(on_concurrent_writes=policy), progress)
            assert report.warnings == [(KEPT if policy == "keep" else INSERTED).format(1)]
            kept = [(1, "guest, early")] if policy == "keep" else []
            assert theirs(database) == kept


@pytest.mark.parametrize("count", [1, concurrent_rows.MOST_UNDER_LOCK + 1, 5000])
@pytest.mark.parametrize(
    "also", ["SELECT 1", "UPDATE t SET name = 'x' WHERE name IN ('name 0', 'name 1', 'name 2')"]
)
def test_rows_that_are_kept_are_not_told_as_lost_too(
    datastore_url, database, table, second, monkeypatch, count, also
):
    """However many come; one of them began before the load."""
    monkeypatch.setattr(concurrent_writes, "WRITERS_S", 0.5)
    insert = (
        f"INSERT INTO t (n, name) SELECT i, 'guest ' || i FROM generate_series(0, {count - 1}) i"
    )

    def act() -> None:
        changing(datastore_url, insert)()
        changing(datastore_url, also)()
        ended(early)

    with ExitStack() as stack:
        early = stack.enter_context(psycopg.connect(datastore_url))
        early.execute("INSERT INTO t (n, name) VALUES (-1, 'guest, early')")
        inserting(datastore_url, 1, 2)()
        report = load(
            second, table(on_concurrent_writes="keep"), AtStep("swapping the tables", act)
        )
    assert report.warnings.pop(0) == KEPT.format(count + 1)
    assert len(theirs(database)) == count + 1
    if also == "SELECT 1":
        assert report.warnings == []
    else:
        (lost,) = report.warnings
        assert "which is lost: about 3 rows updated, by the server's statistics" in lost


def ended(connection: psycopg.Connection) -> None:
    """Commit, end the session, and wait until the server has ended it."""
    pid = connection.info.backend_pid
    connection.commit()
    with psycopg.connect(connection.info.dsn, autocommit=True) as watching:
        connection.close()
        query = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        while watching.execute(query, (pid,)).fetchone() != (0,):
            time.sleep(0.01)


CHANGES = {
    "updates": ("UPDATE t SET name = 'guest' WHERE n < 3", "about 3 rows updated"),
    "deletions": ("DELETE FROM t WHERE n < 5", "about 5 rows deleted"),
    "both": (
        "UPDATE t SET name = 'guest' WHERE n < 3; DELETE FROM t WHERE n > 990",
        "about 3 rows updated, about 9 rows deleted",
    ),
}


def changing(url: str, statement: str) -> Callable[[], None]:
    """Return what changes rows in a session that tells the statistics of it by ending."""

    def change() -> None:
        connection = psycopg.connect(url)
        connection.execute(statement)
        ended(connection)

    return change


@pytest.mark.parametrize("policy", ["warn", "keep"])
@pytest.mark.parametrize(("statement", "told"), CHANGES.values(), ids=CHANGES)
def test_the_statistics_tell_of_other_changes(
    datastore_url, database, table, second, policy, statement, told
):
    progress = AtStep("copying rows", changing(datastore_url, statement))
    report = load(second, table(on_concurrent_writes=policy), progress)
    (warning,) = report.warnings
    assert "others changed the old table during the load, which is lost" in warning
    assert told in warning


@pytest.mark.parametrize(("statement", "told"), CHANGES.values(), ids=CHANGES)
def test_other_changes_are_refused_too(datastore_url, database, table, second, statement, told):
    progress = AtStep("copying rows", changing(datastore_url, statement))
    with pytest.raises(TableChanged, match=f"during the load: {told}"):
        load(second, table(on_concurrent_writes="refuse"), progress)


# The old table's columns and what others insert; the file; the error, or the row that is kept.
FITS = {
    "a column that is gone": ("n bigint, x text", "(7, 'x')", "n\n1\n", "column 'x', value 'x'"),
    "a column that is gone, empty": ("n bigint, x text", "(7, NULL)", "n\n1\n", (7,)),
    "a new column": ("n bigint", "(7)", "n,x\n1,2\n", (7, None)),
    "zeros before a number": ("n text", "('007')", "n\n1\n", "column 'n', value '007'"),
    "a text that is a number": ("n text", "('7')", "n\n1\n", (7,)),
    "a text that is none": ("n text", "('seven')", "n\n1\n", "the column is bigint now: invalid"),
    "a fraction": ("n numeric", "(7.5)", "n\n1\n", "column 'n', value '7.5'"),
    "no fraction": ("n numeric", "(7.0)", "n\n1\n", (7,)),
    "a number that is text now": ("n bigint", "(7)", "n\nx\n", ("7",)),
    "a time of day": (
        "n timestamp",
        "('2020-01-02 03:04')",
        "n\n2020-01-01\n",
        "value '2020-01-02 03:04:00'",
    ),
    "json that is text now": ("n json", """('{"a": 1}')""", "n\nx\n", ('{"a": 1}',)),
    "a list": ("n integer[]", "('{1,2}')", "n\n1\n", "cannot cast type integer[] to bigint"),
    "odd names": ('"it\'s 100% {x}" bigint', "(7)", "it's 100% {x}\n1\n", (7,)),
}


@pytest.mark.parametrize(("columns", "row", "file", "outcome"), FITS.values(), ids=FITS)
def test_rows_are_kept_as_they_are_or_not_at_all(
    datastore_url, database, tmp_path, columns, row, file, outcome
):
    install_ckan(database)
    create(database, "t", columns)
    source = tmp_path / "t.csv"
    source.write_text(file)
    listed = columns.replace(" bigint", "").replace(" text", "").replace(" numeric", "")
    listed = listed.replace(" timestamp", "").replace(" json", "").replace(" integer[]", "")
    insert = f"INSERT INTO t ({listed}) VALUES {row}"
    progress = AtStep("copying rows", lambda: database.execute(insert))
    options = Options("t", datastore_url, on_concurrent_writes="keep")
    if isinstance(outcome, tuple):
        load(str(source), options, progress)
        assert rows_of(database, "t")[-1] == outcome
    else:
        with pytest.raises(TableChanged) as refused:
            load(str(source), options, progress)
        assert outcome in str(refused.value)
        assert not refused.value.retryable
        assert len(rows_of(database, "t")) == 1
        assert shadows(database) == []


def test_a_kept_row_with_a_key_of_the_file_is_refused(datastore_url, database, table, second):
    database.execute("CREATE UNIQUE INDEX ON t (n)")
    progress = AtStep("swapping the tables", inserting(datastore_url, 1, 1400))
    with pytest.raises(TableChanged, match="duplicate key"):
        load(second, table(on_concurrent_writes="keep"), progress)
    assert len(theirs(database)) == 1


DROPPED = "others dropped the old table during the load: its Data Dictionary, aliases and grants"


@pytest.mark.parametrize(
    ("policy", "again", "step"), pairwise(["warn", "keep", "refuse"], [False, True], STEPS)
)
def test_a_table_that_is_dropped_during_the_load(
    datastore_url, database, table, second, policy, again, step
):
    def drop() -> None:
        database.execute("DROP TABLE t")
        if again:
            create(database, "t", "n bigint, name text")

    options = table(on_concurrent_writes=policy)
    if policy == "refuse":
        with pytest.raises(TableChanged, match="the table was dropped") as refused:
            load(second, options, AtStep(step, drop))
        assert refused.value.table == "untouched"  # by the load
        assert shadows(database) == []
        found = database.execute("SELECT to_regclass('t') IS NOT NULL").fetchone()
        assert found == (again,)
    else:
        (warning,) = load(second, options, AtStep(step, drop)).warnings
        assert warning.startswith(DROPPED)
        assert len(rows_of(database, "t")) == 1500


@pytest.mark.parametrize("again", [False, True], ids=["dropped", "and made again, empty"])
@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
def test_a_table_that_is_dropped_while_the_swap_waits_for_it(
    datastore_url, database, table, second, policy, again
):
    options = table(on_concurrent_writes=policy)
    with psycopg.connect(datastore_url) as dropping:

        def drop_soon() -> None:
            dropping.execute("DROP TABLE t")
            if again:
                create(dropping, "t", "n bigint, name text")
            threading.Thread(target=commit).start()

        def commit() -> None:
            wait_for(database, "wait_event_type = 'Lock'")
            dropping.commit()

        progress = AtStep("swapping the tables", drop_soon)
        if policy == "refuse":
            with pytest.raises(TableChanged, match="the table was dropped"):
                load(second, options, progress)
        else:
            (warning,) = load(second, options, progress).warnings
            assert warning.startswith(DROPPED)
            assert len(rows_of(database, "t")) == 1500


def test_a_table_that_is_renamed_during_the_load(datastore_url_18, database_18, tmp_path):
    """Its sequence and indexes keep the names that the new table is to have."""
    install_ckan(database_18)
    source = write(tmp_path / "t.csv", 10)
    options = Options("t", datastore_url_18, on_concurrent_writes="refuse")
    load(source, options)
    rename = 'ALTER TABLE t RENAME TO "t %s old"'
    progress = AtStep("copying rows", lambda: database_18.execute(rename))
    with pytest.raises(NotADataStoreTable, match="t__id_seq, t_pkey") as refused:
        load(source, options, progress)
    assert "ALTER SEQUENCE" in refused.value.hint
    assert shadows(database_18) == []
    assert database_18.execute("SELECT to_regclass('t')").fetchone() == (None,)
    assert len(rows_of(database_18, "t %s old")) == 10


@pytest.mark.parametrize("policy", ["warn", "refuse"])
def test_a_table_that_is_moved_with_all_its_names(datastore_url_18, database_18, tmp_path, policy):
    """It is there, and nobody is told that it was dropped."""
    install_ckan(database_18)
    source = write(tmp_path / "t.csv", 10)
    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    load(source, options)
    move = "CREATE SCHEMA old; ALTER TABLE t SET SCHEMA old"
    progress = AtStep("copying rows", lambda: database_18.execute(move))
    if policy == "refuse":
        with pytest.raises(TableChanged, match=r"the table was renamed to old\.t$"):
            load(source, options, progress)
    else:
        (warning,) = load(source, options, progress).warnings
        assert warning.startswith("others renamed the old table to old.t during the load")
        assert len(rows_of(database_18, "t")) == 10


def made_anew(database, url: str) -> Callable[[], None]:
    def make() -> None:
        database.execute("DROP TABLE IF EXISTS t")
        create(database, "t", "n bigint, name text")
        inserting(url, 3)()

    return make


@pytest.mark.parametrize("first", [False, True], ids=["made anew", "made"])
@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
def test_a_table_that_is_made_during_the_load(
    datastore_url, database, tmp_path, second, policy, first
):
    install_ckan(database)
    if not first:
        load(write(tmp_path / "first.csv", 1000), Options("t", datastore_url))
    progress = AtStep("copying rows", made_anew(database, datastore_url))
    options = Options("t", datastore_url, on_concurrent_writes=policy)
    if policy == "refuse":
        with pytest.raises(TableChanged, match="3 rows inserted"):
            load(second, options, progress)
        assert len(rows_of(database, "t")) == 3
    else:
        told = KEPT if policy == "keep" else INSERTED
        warnings = load(second, options, progress).warnings
        assert warnings[-1] == told.format(3)
        assert [line.startswith(DROPPED) for line in warnings[:-1]] == ([] if first else [True])
        assert len(theirs(database)) == (3 if policy == "keep" else 0)


@pytest.mark.parametrize("count", [3, concurrent_rows.MOST_UNDER_LOCK + 1])
@pytest.mark.parametrize("kind", ["int", "text", "int UNIQUE"])
@pytest.mark.parametrize("policy", ["warn", "keep"])
def test_a_table_that_is_made_anew_with_another_id(
    datastore_url_18, database_18, tmp_path, policy, kind, count
):
    install_ckan(database_18)
    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    load(write(tmp_path / "first.csv", 1000), options)
    make = f"CREATE TABLE t (_id {kind}, _full_text tsvector, n bigint, name text)"
    put = (
        "INSERT INTO t (_id, n, name) SELECT i + 1, i, 'guest ' || i"
        f" FROM generate_series(0, {count - 1}) i"
    )
    act = AtStep("copying rows", running(datastore_url_18, "DROP TABLE t", make, put))
    *_, dropped, told = load(write(tmp_path / "second.csv", 1500), options, act).warnings
    assert dropped.startswith(DROPPED)
    assert told == (KEPT if policy == "keep" else INSERTED).format(count)
    assert len(theirs(database_18)) == (count if policy == "keep" else 0)


@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
def test_a_table_without_an_index_on_its_ids_is_not_read(datastore_url, database, second, policy):
    """Under the lock that would take as long as the table is large; the statistics tell of it.

    To keep rows it is read before, while readers go on.
    """
    install_ckan(database)
    create(database, "t", "n bigint, name text")
    database.execute("ALTER TABLE t DROP CONSTRAINT t_pkey")
    insert = "INSERT INTO t (n) SELECT generate_series(1, 3)"
    progress = AtStep("copying rows", changing(datastore_url, insert))
    options = Options("t", datastore_url, on_concurrent_writes=policy)
    if policy == "refuse":
        with pytest.raises(TableChanged, match="about 3 rows inserted"):
            load(second, options, progress)
    elif policy == "keep":
        assert load(second, options, progress).warnings == [KEPT.format(3)]
        assert rows_of(database, "t")[1500:] == [(1, None), (2, None), (3, None)]
    else:
        (warning,) = load(second, options, progress).warnings
        assert "which is lost: about 3 rows inserted, by the server's statistics" in warning


def with_ids(*ids: int) -> str:
    """Return what inserts rows with an _id of their own."""
    values = ", ".join(f"({row_id}, {n}, 'guest')" for n, row_id in enumerate(ids))
    return f"INSERT INTO t (_id, n, name) VALUES {values}"


IN_TURN = "INSERT INTO t (n, name) SELECT n, 'guest' FROM generate_series(0, {}) AS n"
A_GAP = "DELETE FROM t WHERE _id BETWEEN 100 AND 899"
# What is done before a load, what others do during it, and how many rows they insert.
ANY_ID = {
    "zero": ("SELECT 1", with_ids(0), 1),
    "negative": ("SELECT 1", with_ids(-1, -5, -(2**31)), 3),
    "the highest": ("SELECT 1", with_ids(2**31 - 1, 1002, 5000), 3),
    "below the first": ("DELETE FROM t WHERE _id < 10", with_ids(1, 9, 0, 5), 4),
    "in a gap": (A_GAP, with_ids(100, 500, 899), 3),
    "all of a gap": (A_GAP, with_ids(*range(100, 900)), 800),
    "in many gaps": ("DELETE FROM t WHERE _id % 7 = 0", with_ids(7, 14, 700, 994), 4),
    "below what was deleted": ("DELETE FROM t WHERE _id > 500", with_ids(501, 1000), 2),
    "on both sides": (A_GAP, with_ids(0, 300, 1001), 3),
    "behind one that is far above": (
        "INSERT INTO t (_id, n, name) VALUES (2000000000, 0, 'x')",
        IN_TURN.format(4),
        5,
    ),
    "from a sequence set back": (A_GAP, f"SELECT setval('t__id_seq', 99); {IN_TURN.format(9)}", 10),
    "more than under the lock": (
        "SELECT 1",
        "INSERT INTO t (_id, n, name) SELECT -2 * n, n, 'guest' FROM generate_series(1, 5000) AS n",
        5000,
    ),
    "bigint": (
        "ALTER TABLE t ALTER _id TYPE bigint",
        with_ids(-(2**63) + 1, -(2**40), 2**40, 2**63 - 2),
        4,
    ),
    "into an empty table": ("DELETE FROM t", with_ids(-3, 7), 2),
    "not unique": (
        "ALTER TABLE t DROP CONSTRAINT t_pkey; CREATE INDEX ON t (_id);"
        " UPDATE t SET _id = 5 WHERE _id IN (4, 6, 7, 9)",
        with_ids(4, 6, 7, 9, 9, 0),
        6,
    ),
    "in a table that is written anew": (A_GAP, f"VACUUM FULL t; {with_ids(0, 150)}", 2),
    "in a table that is written anew then": (
        A_GAP,
        f"{with_ids(0, 150)}; CLUSTER t USING t_pkey",
        2,
    ),
    "in a table of another form": (
        A_GAP,
        f"ALTER TABLE t ALTER n TYPE numeric; {with_ids(0, 150)}; ALTER TABLE t SET UNLOGGED",
        2,
    ),
    "frozen": (A_GAP, f"{with_ids(0, 150)}; VACUUM FREEZE t", 2),
}


def check_policy(policy, url, database, source, act, count) -> None:
    """See what a load does about the rows that somebody inserts during it."""
    options = Options("t", url, on_concurrent_writes=policy)
    if policy == "refuse":
        with pytest.raises(TableChanged, match=rf"\b{count} rows inserted"):
            load(source, options, act)
        assert len(theirs(database)) == count
        return
    warnings = load(source, options, act).warnings
    told = KEPT if policy == "keep" else INSERTED
    assert told.format(count) in warnings
    found = sorted(n for n, _ in theirs(database))
    assert len(found) == (count if policy == "keep" else 0)
    ids = database.execute("SELECT count(*), min(_id), max(_id) FROM t").fetchone()
    assert ids == (1500 + len(found), 1, 1500 + len(found))


# When somebody writes, and what is to be done about it.
WHEN = [("warn", STEPS[1]), ("keep", STEPS[1]), ("keep", STEPS[3]), ("refuse", STEPS[3])]


# What they are noticed by has nothing to do with what is done about them: two of four each.
@pytest.mark.parametrize(
    ("kind", "policy", "step"),
    [(kind, *when) for some in (WHEN[:2], WHEN[2:]) for kind, when in in_turn([*ANY_ID], some)],
)
def test_rows_are_noticed_whatever_their_ids(
    datastore_url_18, database_18, tmp_path, kind, step, policy
):
    before, during, count = ANY_ID[kind]
    install_ckan(database_18)
    load(write(tmp_path / "first.csv", 1000), Options("t", datastore_url_18))
    changing(datastore_url_18, before)()
    act = AtStep(step, running(datastore_url_18, *during.split("; ")))
    second = write(tmp_path / "second.csv", 1500)
    check_policy(policy, datastore_url_18, database_18, second, act, count)


# Three gaps are larger than all others.
GAPS = "DELETE FROM t WHERE _id % 7 = 0 OR _id % 100000 BETWEEN 5001 AND 5003"


@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
@pytest.mark.parametrize(
    ("module", "limit", "value"),
    [(gaps, "MOST_GAPS", 3), (free_ids, "LOOK_MS", 1)],
    ids=["many gaps", "a large table"],
)
def test_where_gaps_are_not_known_the_statistics_are_asked(
    datastore_url_18, database_18, tmp_path, monkeypatch, module, limit, value, policy
):
    monkeypatch.setattr(module, limit, value)
    install_ckan(database_18)
    create(database_18, "t", "n bigint, name text")
    database_18.execute("ALTER TABLE t DISABLE TRIGGER zfulltext")
    changing(datastore_url_18, "INSERT INTO t (n) SELECT generate_series(1, 300000)")()
    changing(datastore_url_18, GAPS)()
    act = AtStep("copying rows", changing(datastore_url_18, with_ids(0, 7, 70, 700, 300001)))
    second = write(tmp_path / "second.csv", 1500)
    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    if policy == "refuse":
        with pytest.raises(TableChanged, match="2 rows inserted, about 3 rows inserted"):
            load(second, options, act)
    elif policy == "keep":
        assert load(second, options, act).warnings == [KEPT.format(5)]
        assert sorted(n for n, _ in theirs(database_18)) == [0, 1, 2, 3, 4]
    else:
        gone, hint = load(second, options, act).warnings
        assert gone == INSERTED.format(2)
        assert "about 3 rows inserted" in hint


AGAIN = "DELETE FROM t WHERE _id IN (5, 6, 7); "
# What takes rows away and inserts others with the same _id; how many; whether they can be kept.
IDS_AGAIN = {
    "some": (AGAIN + with_ids(5, 7), 2, True),
    "more with others": (AGAIN + with_ids(0, 6, 1001), 3, True),
    "all, from a sequence set back": (
        f"DELETE FROM t; SELECT setval('t__id_seq', 1, false); {IN_TURN.format(499)}",
        500,
        True,
    ),
    "in a table that is written anew then": (AGAIN + with_ids(5) + "; VACUUM FULL t", 1, True),
    "and some are updated": (
        AGAIN + with_ids(5, 6, 7) + "; UPDATE t SET name = 'x' WHERE _id = 9",
        3,
        False,
    ),
}


@pytest.mark.parametrize(("policy", "step"), WHEN)
@pytest.mark.parametrize(("during", "count", "is_told_apart"), IDS_AGAIN.values(), ids=IDS_AGAIN)
def test_rows_with_the_ids_of_deleted_ones(
    datastore_url_18, database_18, tmp_path, during, count, is_told_apart, step, policy
):
    """The statistics tell of them, and to keep them the table is read."""
    install_ckan(database_18)
    load(write(tmp_path / "first.csv", 1000), Options("t", datastore_url_18))

    def act() -> None:
        with psycopg.connect(datastore_url_18, autocommit=True) as connection:
            for statement in during.split("; "):
                connection.execute(statement)
            ended(connection)

    options = Options("t", datastore_url_18, on_concurrent_writes=policy)
    second = write(tmp_path / "second.csv", 1500)
    if policy == "refuse" or (policy == "keep" and not is_told_apart):
        said = "rows deleted" if policy == "refuse" else "which is which cannot be told"
        with pytest.raises(TableChanged, match=said):
            load(second, options, AtStep(step, act))
        assert len(theirs(database_18)) == count
    elif policy == "keep":
        kept, *_ = load(second, options, AtStep(step, act)).warnings
        assert kept == KEPT.format(count)
        assert sorted(n for n, _ in theirs(database_18)) == list(range(count))
    else:
        warnings = load(second, options, AtStep(step, act)).warnings
        assert "rows inserted" in warnings[-1]
        assert "rows deleted" in warnings[-1]


@pytest.mark.parametrize("also", ["updates", "both"])
def test_rows_that_were_inserted_in_vain_stop_no_load(
    datastore_url_18, database_18, tmp_path, also
):
    """The statistics count them too."""
    install_ckan(database_18)
    load(write(tmp_path / "first.csv", 1000), Options("t", datastore_url_18))

    def act() -> None:
        with psycopg.connect(datastore_url_18) as connection:
            connection.execute(with_ids(-1, -2))
            connection.rollback()
            connection.execute(CHANGES[also][0])
            ended(connection)

    options = Options("t", datastore_url_18, on_concurrent_writes="keep")
    second = write(tmp_path / "second.csv", 1500)
    warnings = load(second, options, AtStep("copying rows", act)).warnings
    assert not any("kept" in warning for warning in warnings)
    assert len(rows_of(database_18, "t")) == 1500


@pytest.mark.parametrize("most", [10, 10_000])
def test_rows_in_more_gaps_than_are_known_are_kept_once(
    datastore_url_18, database_18, tmp_path, monkeypatch, most
):
    """Those that come while the first ones are kept, too."""
    monkeypatch.setattr(gaps, "MOST_GAPS", most)
    install_ckan(database_18)
    load(write(tmp_path / "first.csv", 1000), Options("t", datastore_url_18))
    put = (
        "INSERT INTO t (_id, n, name) SELECT {} - 3 * n, n, 'guest' FROM generate_series(1, 2000) n"
    )
    first, then = (changing(datastore_url_18, put.format(begin)) for begin in (0, 1))
    original = concurrent_rows.catch_up
    caught_up = []

    def catch_up(*args):
        caught_up.append(args)
        if len(caught_up) == 2:
            then()
        return original(*args)

    monkeypatch.setattr(concurrent_rows, "catch_up", catch_up)
    options = Options("t", datastore_url_18, on_concurrent_writes="keep")
    second = write(tmp_path / "second.csv", 1500)
    report = load(second, options, AtStep("swapping the tables", first))
    found = sorted(n for n, _ in theirs(database_18))
    assert found == sorted([*range(1, 2001), *range(1, 2001)])
    assert report.warnings == [KEPT.format(4000)]
    assert report.rows == 1500 + 4000
