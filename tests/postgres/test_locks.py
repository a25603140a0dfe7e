"""Whoever keeps a lock that a load needs is waited for, for a while, and named; nothing hangs."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import psycopg
import pytest
from datastore import install_ckan, rows_of, shadows, wait_for
from psycopg import sql
from test_lanes import block
from test_swap import AtStep, write

from loader.copy import database as connections
from loader.copy import lanes, locks, relation, shadow
from loader.embedded import server as embedded
from loader.errors import TableBusy
from loader.formats.csv.blocks import CsvBlock
from loader.options import Options
from loader.pipeline.load import load
from loader.types.column import Column


def be_impatient(monkeypatch: pytest.MonkeyPatch, database: psycopg.Connection) -> None:
    """Let loads wait for a second, in several tries."""
    monkeypatch.setattr(locks, "GIVE_UP_AFTER_S", 1.0)
    monkeypatch.setattr(locks, "VACUUM_YIELDS_MS", 200)
    name = sql.Identifier(database.info.dbname)
    database.execute(sql.SQL("ALTER DATABASE {} SET deadlock_timeout = 50").format(name))


@dataclass(frozen=True)
class Holder:
    """Somebody who takes a lock when a step of the load begins."""

    step: str
    mode: str
    table: str = "shadow"
    mode_of_load: str = "replace"
    before: str = ""
    first: bool = False  # whether there is no table yet


HOLDERS = {
    "a table with a view": Holder("reading the header", "ACCESS EXCLUSIVE", "t", before="view"),
    "a view": Holder("reading the header", "ACCESS EXCLUSIVE", "v", before="view"),
    "a view over a view": Holder("reading the header", "ACCESS EXCLUSIVE", "w", before="view"),
    "what a view reads too": Holder("reading the header", "ACCESS EXCLUSIVE", "o", before="view"),
    "a table with a trigger": Holder("reading the header", "ACCESS EXCLUSIVE", "t", before="when"),
    "a table with an index": Holder(
        "adding the primary key", "ACCESS EXCLUSIVE", "t", before="index"
    ),
    "pg_dump, before the key": Holder("adding the primary key", "ACCESS SHARE"),
    "pg_dump, before the index": Holder("indexing the full text", "SHARE ROW EXCLUSIVE"),
    "a vacuum, before the key": Holder("adding the primary key", "SHARE UPDATE EXCLUSIVE"),
    "a vacuum, before the index": Holder("indexing the full text", "SHARE UPDATE EXCLUSIVE"),
    "a vacuum, before ANALYZE": Holder("analysing the table", "SHARE UPDATE EXCLUSIVE"),
    "a vacuum, before the swap": Holder("swapping the tables", "SHARE UPDATE EXCLUSIVE"),
    "a vacuum of the old table": Holder("swapping the tables", "SHARE UPDATE EXCLUSIVE", "t"),
    "pg_dump, before the swap": Holder("swapping the tables", "ACCESS SHARE"),
    "pg_dump of the old table": Holder("swapping the tables", "ACCESS SHARE", "t"),
    "pg_dump, before the first swap": Holder("swapping the tables", "ACCESS SHARE", first=True),
    "who writes an appended table": Holder("adding the rows", "SHARE", "t", "append"),
    "who alters an appended table": Holder("adding the rows", "ACCESS EXCLUSIVE", "t", "append"),
    "pg_dump, before rows with one key": Holder(
        "adding the primary key", "SHARE", mode_of_load="upsert", first=True
    ),
    "who has the rows to append": Holder(
        "adding the rows", "ACCESS EXCLUSIVE", mode_of_load="append"
    ),
}
BEFORE = {
    "": "SELECT 1",
    "view": (
        "CREATE TABLE o (n int); CREATE VIEW v AS SELECT name FROM t, o;"
        "CREATE VIEW w AS SELECT * FROM v"
    ),
    "index": "CREATE INDEX short ON t (left(name, 3))",
    "when": (
        "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.name <> '')"
        " EXECUTE FUNCTION same()"
    ),
}


class Held:
    """Takes a lock when it is told to, and lets go when the test likes."""

    def __init__(self, url: str, stack: ExitStack, holder: Holder) -> None:
        self._holder = holder
        self.connection = stack.enter_context(psycopg.connect(url, application_name="dump"))

    def take(self) -> None:
        table = self._holder.table
        if table == "shadow":
            (table,) = shadows(self.connection)
        statement = "LOCK TABLE ONLY {} IN " + self._holder.mode + " MODE"
        if table in ("v", "w"):  # LOCK TABLE would lock what they read too
            statement = "ALTER VIEW {} OWNER TO CURRENT_USER"
        self.connection.execute(sql.SQL(statement).format(sql.Identifier(table)))

    def let_go(self) -> None:
        self.connection.rollback()

    def let_go_soon(self) -> None:
        """Not before somebody waits."""
        self.take()
        threading.Thread(target=self._wait_and_let_go).start()

    def _wait_and_let_go(self) -> None:
        wait_for(self.connection, "wait_event_type = 'Lock'")
        self.let_go()


@pytest.fixture
def first(tmp_path) -> str:
    return write(tmp_path / "first.csv", 1000)


@pytest.fixture
def second(tmp_path) -> str:
    return write(tmp_path / "second.csv", 1500)


@contextmanager
def prepared(url: str, database, first: str, holder: Holder) -> Iterator[Held]:
    install_ckan(database)
    if not holder.first:
        load(first, Options("t", url))
    database.execute(BEFORE[holder.before])
    with ExitStack() as stack:
        yield Held(url, stack, holder)


def options(url: str, holder: Holder) -> Options:
    key = ("n",) if holder.mode_of_load == "upsert" else ()
    return Options("t", url, mode=holder.mode_of_load, key=key)


def loaded(holder: Holder) -> int:
    return 2500 if holder.mode_of_load == "append" else 1500


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_a_lock_is_waited_for(datastore_url, database, first, second, holder):
    with prepared(datastore_url, database, first, holder) as held:
        progress = AtStep(holder.step, held.let_go_soon)
        load(second, options(datastore_url, holder), progress)
    assert database.execute("SELECT count(*) FROM t").fetchone() == (loaded(holder),)
    assert shadows(database) == []


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_a_lock_is_not_waited_for_forever(
    datastore_url_18, database_18, first, second, holder, monkeypatch, caplog
):
    be_impatient(monkeypatch, database_18)
    with prepared(datastore_url_18, database_18, first, holder) as held:
        with pytest.raises(TableBusy) as busy:
            load(second, options(datastore_url_18, holder), AtStep(holder.step, held.take))
        who = f"locked by pid {held.connection.info.backend_pid} (postgres, dump, idle in"
    assert who in busy.value.message
    told = [r for r in caplog.records if r.levelno == logging.WARNING and who in r.message]
    assert told[0].message.startswith("waiting: ")
    assert busy.value.retryable
    assert "load again later" in busy.value.hint
    if not holder.first:
        assert database_18.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    with closing(connections.connect(datastore_url_18, "test")) as cleaning:
        list(shadow.drop_all_orphans(cleaning, dry_run=False))
    assert shadows(database_18) == []


def test_the_index_of_rows_that_are_shown_waits_too(datastore_url, database, first, monkeypatch):
    """Nothing is lost without it: the load ends well, with a warning."""
    be_impatient(monkeypatch, database)
    holder = Holder("indexing the full text", "ROW EXCLUSIVE", "t", first=True)
    with prepared(datastore_url, database, first, holder) as held:
        report = load(first, Options("t", datastore_url), AtStep(holder.step, held.take))
        (warning,) = report.warnings
        assert "searches are slow, the rows are not indexed" in warning
        assert f"locked by pid {held.connection.info.backend_pid}" in warning
    assert database.execute("SELECT count(*) FROM t").fetchone() == (1000,)


def as_they_are(blocks: Iterator[CsvBlock]) -> Iterator[list[bytes]]:
    """Give the blocks of a lane as the COPY text that they are."""
    return ([block.data] for block in blocks)


def test_a_lane_waits_before_it_takes_a_row(datastore_url_18, database_18):
    with ExitStack() as stack:
        lane, watch = (
            stack.enter_context(closing(connections.connect(datastore_url_18, purpose)))
            for purpose in ("lane", "watch")
        )
        names = relation.name("t")
        shadow.create(relation.Relation(watch, names), [Column("name", "text")], None)
        held = Held(datastore_url_18, stack, Holder("", "ACCESS EXCLUSIVE"))
        held.let_go_soon()
        statement = lanes.statement(names.shadow, ["name"], ",")
        assert lanes.copy(iter([block(0)]), as_they_are, [lane], statement, watch) == 100


def test_a_lane_that_waits_gives_up_in_time(datastore_url_18, database_18, monkeypatch):
    be_impatient(monkeypatch, database_18)
    with ExitStack() as stack:
        lane, watch = (
            stack.enter_context(closing(connections.connect(datastore_url_18, purpose)))
            for purpose in ("lane", "watch")
        )
        names = relation.name("t")
        shadow.create(relation.Relation(watch, names), [Column("name", "text")], None)
        Held(datastore_url_18, stack, Holder("", "SHARE")).take()
        statement = lanes.statement(names.shadow, ["name"], ",")
        with pytest.raises(TableBusy, match=r"copying rows: .*locked by pid"):
            lanes.copy(iter([block(0)]), as_they_are, [lane], statement, watch)


def orphan(url: str, resource_id: str) -> str:
    """Leave a shadow behind, as a load that was killed."""
    with closing(connections.connect(url, "test")) as connection:
        names = relation.name(resource_id)
        shadow.create(relation.Relation(connection, names), [Column("name", "text")], None)
        return names.shadow


def test_an_orphan_that_somebody_reads_is_in_no_loads_way(
    datastore_url_18, database_18, first, caplog
):
    left = orphan(datastore_url_18, "t")
    with ExitStack() as stack:
        Held(datastore_url_18, stack, Holder("", "ACCESS SHARE")).take()
        load(first, Options("t", datastore_url_18))
        assert shadows(database_18) == [left]
    assert f"{left} stays until the next load" in caplog.text
    load(first, Options("t", datastore_url_18))
    assert shadows(database_18) == []


def test_cleanup_drops_what_it_can_and_waits_for_the_rest(
    datastore_url_18, database_18, monkeypatch
):
    be_impatient(monkeypatch, database_18)
    left = orphan(datastore_url_18, "busy")
    with (
        closing(connections.connect(datastore_url_18, "cleanup")) as cleaning,
        ExitStack() as stack,
    ):
        held = Held(datastore_url_18, stack, Holder("", "ACCESS SHARE"))
        held.take()
        for name in "abcdef":
            orphan(datastore_url_18, name)
        with pytest.raises(TableBusy, match=r"locked by pid \d+ \(postgres, dump"):
            list(shadow.drop_all_orphans(cleaning, dry_run=False))
        assert shadows(database_18) == [left]
        threading.Timer(0.5, held.let_go).start()
        assert list(shadow.drop_all_orphans(cleaning, dry_run=False)) == [left]
    assert shadows(database_18) == []


def autovacuum_of(connection: psycopg.Connection, table: str) -> list[list[str] | None]:
    """Return the storage parameters of a table and of its TOAST table."""
    return connection.execute(
        "SELECT c.reloptions, t.reloptions FROM pg_class c"
        " JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.relname = %s",
        (table,),
    ).fetchone()


OFF = (["autovacuum_enabled=false"], ["autovacuum_enabled=false"])
SETTINGS = {
    "none": ("SELECT 1", (None, None)),
    "off": ("ALTER TABLE t SET (autovacuum_enabled = off)", (["autovacuum_enabled=off"], None)),
    "off for TOAST": (
        "ALTER TABLE t SET (toast.autovacuum_enabled = off)",
        (None, ["autovacuum_enabled=off"]),
    ),
    "others": (
        "ALTER TABLE t SET (fillfactor = 70, toast.autovacuum_vacuum_threshold = 9)",
        (["fillfactor=70"], ["autovacuum_vacuum_threshold=9"]),
    ),
}


@pytest.mark.parametrize("step", ["adding the primary key", "swapping the tables"])
@pytest.mark.parametrize(("change", "after"), SETTINGS.values(), ids=SETTINGS)
def test_autovacuum_is_off_until_the_table_is_live(
    datastore_url, database, first, second, step, change, after
):
    seen = []

    def look() -> None:
        (shadow,) = shadows(database)
        seen.append(autovacuum_of(database, shadow))

    load(first, Options("t", datastore_url), AtStep(step, look))
    assert seen == [OFF]
    assert autovacuum_of(database, "t") == (None, None)
    database.execute(change)
    load(second, Options("t", datastore_url), AtStep(step, look))
    assert seen == [OFF, OFF]
    assert autovacuum_of(database, "t") == after


def test_rows_that_are_shown_before_their_index_are_vacuumed(
    datastore_url_18, database_18, first, monkeypatch
):
    """Also if the index then fails: with autovacuum off the table would rot."""
    monkeypatch.setattr(
        shadow, "analyze", lambda *_: database_18.execute("SELECT no_such_function()")
    )
    with pytest.raises(psycopg.Error):
        load(first, Options("t", datastore_url_18))
    assert autovacuum_of(database_18, "t") == (None, None)
    assert rows_of(database_18, "t")[0] == (0, "name 0")


# An autovacuum takes 0.1 to 0.4 s for each page, and comes to every table that has changed.
SLOW_AUTOVACUUM = {
    "autovacuum_naptime": "1s",
    "autovacuum_vacuum_cost_delay": "100ms",
    "autovacuum_vacuum_cost_limit": "1",
    "autovacuum_vacuum_threshold": "0",
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_insert_threshold": "0",
    "autovacuum_vacuum_insert_scale_factor": "0",
    "fsync": "off",
}


@pytest.fixture(scope="module", params=[18, 16], ids=["pg18", "pg16"])
def vacuumed_url(servers, request) -> Iterator[str]:
    """The URL of a server where autovacuum comes at once and goes on for minutes."""
    settings = [part for setting in SLOW_AUTOVACUUM.items() for part in ("-c", "=".join(setting))]
    cluster = embedded.Cluster(servers / f"vacuumed-{request.param}", request.param, settings)
    cluster.start()
    host = quote(str(cluster.folder))
    yield f"postgresql://postgres@/postgres?host={host}&port=5432"
    cluster.stop()


def worker_on(connection: psycopg.Connection, table: str, toast: str = "oid") -> bool:
    """Tell whether an autovacuum has the table, or its TOAST table, in hand."""
    return connection.execute(
        "SELECT EXISTS (SELECT FROM pg_stat_progress_vacuum JOIN pg_stat_activity USING (pid)"
        " JOIN pg_class c ON relid = CASE %s WHEN 'oid' THEN c.oid ELSE c.reltoastrelid END"
        " WHERE backend_type = 'autovacuum worker' AND c.relname LIKE %s)",
        (toast, table),
    ).fetchone()[0]


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


@pytest.mark.parametrize("toast", ["oid", "toast"], ids=["the old table", "its TOAST table"])
def test_an_autovacuum_of_the_old_table_gives_way(vacuumed_url, tmp_path, toast):
    name = f"old {toast}"
    file = tmp_path / "t.csv"
    file.write_text("n,name\n" + "".join(f"{i},{'x' * 300}\n" for i in range(20_000)))
    with psycopg.connect(vacuumed_url, autocommit=True) as database:
        load(str(file), Options(name, vacuumed_url, full_text="none"))
        table = sql.Identifier(name)
        if toast == "toast":
            database.execute(
                sql.SQL(
                    "ALTER TABLE {0} ALTER name SET STORAGE EXTERNAL,"
                    " SET (autovacuum_enabled = off, toast.autovacuum_enabled = on);"
                    "UPDATE {0} SET name = repeat('x', 20000) WHERE n < 300;"
                    "DELETE FROM {0} WHERE n < 300"
                ).format(table)
            )
        assert wait_until(lambda: worker_on(database, name, toast))
        report = load(str(file), Options(name, vacuumed_url, full_text="none"))
        assert report.timings_s["swap"] < 15
        count = sql.SQL("SELECT count(*) FROM {}").format(table)
        assert database.execute(count).fetchone() == (20_000,)
        database.execute(sql.SQL("DROP TABLE {}").format(table))


def test_no_autovacuum_comes_to_a_shadow(vacuumed_url, tmp_path):
    """It has nothing to do but to read all rows, and kept the swap waiting for its end."""
    file = tmp_path / "t.csv"
    file.write_text("n,name\n" + "".join(f"{i},{'x' * 300}\n" for i in range(20_000)))
    came = []
    with psycopg.connect(vacuumed_url, autocommit=True) as database:

        def look() -> None:
            came.append(wait_until(lambda: worker_on(database, "\\_aircan\\_%"), seconds=3))

        load(
            str(file),
            Options("t", vacuumed_url, full_text="none"),
            AtStep("swapping the tables", look),
        )
        assert came == [False]
        assert wait_until(lambda: worker_on(database, "t")), "autovacuum does not work here"
