"""Readers see the old table until the new one is whole, and nothing else is touched."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from datastore import rows_of, shadows
from psycopg import sql

from loader.copy import locks
from loader.errors import (
    DatabaseUnreachable,
    DependentObjects,
    LoadInProgress,
    NotADataStoreTable,
    TableBusy,
)
from loader.options import Options
from loader.pipeline.load import load
from loader.progress import Silent

HELD_S = 5.0  # by somebody who reads the table: the others are not to wait for that


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


def test_readers_never_notice_a_reload(datastore_url, database, first, second):
    options = Options("t", datastore_url)
    load(first, options)
    database.execute("CREATE VIEW alias AS SELECT * FROM t; CREATE VIEW own AS SELECT n FROM alias")
    queries = [
        "SELECT count(*) FROM t",
        "SELECT max(n) + 1 FROM t WHERE name LIKE 'name%'",
        "SELECT count(*) FROM alias",
        "SELECT max(n) + 1 FROM own",
    ]
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
        assert reader.longest_s < 2.0
        assert reader.reads > 10


@contextmanager
def long_reader(url: str):
    """A transaction that has read the table and goes on."""
    with psycopg.connect(url, application_name="report") as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1000,)
        yield connection


def test_the_swap_waits_for_a_long_reader_and_lets_others_pass(
    datastore_url_18, database_18, first, second
):
    load(first, Options("t", datastore_url_18))
    others = Reader(datastore_url_18, "SELECT count(*) FROM t", prepare=False)
    with long_reader(datastore_url_18) as reading:

        def release() -> None:
            time.sleep(HELD_S)
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
    assert others.longest_s < HELD_S - 1
    assert database_18.execute("SELECT count(*) FROM t").fetchone() == (1500,)


def test_a_table_that_stays_busy_keeps_its_rows(
    datastore_url_18, database_18, first, second, monkeypatch, caplog
):
    monkeypatch.setattr(locks, "GIVE_UP_AFTER_S", 3.0)
    load(first, Options("t", datastore_url_18))
    with long_reader(datastore_url_18) as reading:
        who = f"locked by pid {reading.info.backend_pid} (postgres, report, idle in transaction)"
        with pytest.raises(TableBusy) as busy:
            load(second, Options("t", datastore_url_18))
    assert busy.value.retryable
    assert str(busy.value).endswith(who)
    waiting = [r for r in caplog.records if r.levelno == logging.WARNING and who in r.message]
    assert len(waiting) == 1
    assert "load again later" in busy.value.hint
    assert database_18.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    assert shadows(database_18) == []


DEPENDENTS = {
    "materialized view": ("CREATE MATERIALIZED VIEW m AS SELECT n FROM t", "view m"),
    "foreign key": (
        "CREATE TABLE other (id integer CONSTRAINT points REFERENCES t (_id))",
        "foreign key points of other",
    ),
    "materialized view over an alias": (
        "CREATE VIEW alias AS SELECT * FROM t; CREATE MATERIALIZED VIEW m AS SELECT n FROM alias",
        "view m",
    ),
    "foreign key of its own": (
        "CREATE TABLE other (id integer PRIMARY KEY);"
        "ALTER TABLE t ADD CONSTRAINT points FOREIGN KEY (_id) REFERENCES other NOT VALID",
        "foreign key points",
    ),
    "foreign key to itself": (
        "ALTER TABLE t ADD CONSTRAINT points FOREIGN KEY (_id) REFERENCES t",
        "foreign key points",
    ),
    "rule": ("CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING", "rule r on table t"),
    "rule of a view": (
        "CREATE VIEW v AS SELECT n FROM t; CREATE RULE r AS ON DELETE TO v DO INSTEAD NOTHING",
        "rule r on view v",
    ),
    "trigger of a view": (
        "CREATE VIEW v AS SELECT n FROM t; CREATE TRIGGER g INSTEAD OF DELETE ON v FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger g on view v",
    ),
    "policy": ("CREATE POLICY mine ON t USING (n > 1)", "policy mine"),
    "row level security": ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "row level security"),
    "parent": ("CREATE TABLE p (n bigint); ALTER TABLE t INHERIT p", "inheritance from p"),
    "child": ("CREATE TABLE c () INHERITS (t)", "table c"),
    "publication": ("CREATE PUBLICATION p FOR TABLE t", "publication p"),
    "function": (
        "CREATE FUNCTION f(t) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
        "function f(t)",
    ),
    "column of its row type": ("CREATE TABLE other (row_of t)", "column row_of of table other"),
    "column of its rows' type": ("CREATE TABLE other (rows_of t[])", "column rows_of of table"),
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
        "CREATE MATERIALIZED VIEW late AS SELECT n FROM t",
        # Nothing that AirCan looks for itself: Postgres names it.
        "CREATE TABLE late (n integer DEFAULT nextval('t__id_seq'))",
    ],
    ids=["materialized view", "default"],
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
    assert refused.value.option == "resource_id"
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


@pytest.fixture
def roles(database_18) -> Iterator[dict[str, str]]:
    """Two roles of this test, by what they may be; roles belong to the whole server."""
    names = {role: f'{role} "{uuid.uuid4().hex[:8]}"' for role in ("reader", "editor")}
    identifiers = {role: sql.Identifier(name) for role, name in names.items()}
    for identifier in identifiers.values():
        database_18.execute(sql.SQL("CREATE ROLE {}").format(identifier))
    yield names
    for identifier in identifiers.values():
        database_18.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(identifier))


def privileges(connection: psycopg.Connection) -> list[tuple[str, str, bool]]:
    """Return who else than the owner may do what with the table."""
    return connection.execute(
        "SELECT coalesce(rolname, 'PUBLIC'), privilege_type, is_grantable"
        " FROM pg_class c, aclexplode(relacl) LEFT JOIN pg_roles r ON r.oid = grantee"
        " WHERE c.oid = 't'::regclass AND grantee <> relowner ORDER BY 1, 2"
    ).fetchall()


def test_who_may_read_the_table_may_still(datastore_url_18, database_18, first, second, roles):
    load(first, Options("t", datastore_url_18))
    reader, editor = (sql.Identifier(role) for role in roles.values())
    database_18.execute(sql.SQL("GRANT SELECT ON t TO {}, PUBLIC").format(reader))
    database_18.execute(sql.SQL("GRANT SELECT, UPDATE ON t TO {} WITH GRANT OPTION").format(editor))
    before = privileges(database_18)
    assert len(before) == 4
    report = load(second, Options("t", datastore_url_18))
    assert privileges(database_18) == before
    assert report.warnings == []


def test_who_may_not_read_the_table_may_not_yet(
    datastore_url_18, database_18, first, second, roles
):
    """As with a private dataset where all new tables can be read."""
    reader = sql.Identifier(roles["reader"])
    grant = sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {}")
    database_18.execute(grant.format(reader))
    load(first, Options("t", datastore_url_18))
    assert privileges(database_18) == [(roles["reader"], "SELECT", False)]
    database_18.execute(sql.SQL("REVOKE SELECT ON t FROM {}").format(reader))
    load(second, Options("t", datastore_url_18))
    assert privileges(database_18) == []


def test_the_data_dictionary_stays_for_the_columns_that_stay(
    datastore_url_18, database_18, tmp_path
):
    def load_with(header: str) -> None:
        (tmp_path / "t.csv").write_text(f"{header}\n1,2,3\n")
        load(str(tmp_path / "t.csv"), Options("t", datastore_url_18))

    load_with("_n,it's,gone")
    edited = """ {"_info": {"label": "Nüm'ber; \\\\ 100%", "notes": "$$"}}"""
    for column in ("n", "it's", "gone"):
        database_18.execute(
            sql.SQL("COMMENT ON COLUMN t.{} IS {}").format(sql.Identifier(column), edited)
        )
    load_with("_n,it's,_new")
    comments = database_18.execute(
        "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute"
        " WHERE attrelid = 't'::regclass AND attnum > 2"
    )
    assert dict(comments.fetchall()) == {
        "n": edited,  # not the label of this load
        "it's": edited,
        "new": ' {"_info": {"label": "_new"}}',
    }


RENAMED = {
    "a table": ("ALTER TABLE t RENAME TO put_aside", "t__id_seq"),
    "a table and its sequence": (
        "ALTER TABLE t RENAME TO put_aside; ALTER SEQUENCE t__id_seq RENAME TO s",
        "t_pkey",
    ),
    "another's index": (
        "ALTER TABLE t RENAME CONSTRAINT t_pkey TO p; CREATE TABLE o (n int);"
        " CREATE INDEX t_pkey ON o (n)",
        "t_pkey",
    ),
    "a sequence by itself": (
        "ALTER SEQUENCE t__id_seq RENAME TO s; CREATE SEQUENCE t__id_seq",
        "t__id_seq",
    ),
}


@pytest.mark.parametrize(("statements", "taken"), RENAMED.values(), ids=RENAMED)
def test_names_that_others_have_are_refused_before_a_row_is_read(
    datastore_url_18, database_18, first, second, statements, taken
):
    load(first, Options("t", datastore_url_18))
    for statement in statements.split("; "):
        database_18.execute(statement)
    progress = AtStep("reading the header", lambda: pytest.fail("it was read"))
    with pytest.raises(NotADataStoreTable, match=f"table t: .*{taken}") as refused:
        load(second, Options("t", datastore_url_18), progress)
    assert "RENAME TO" in refused.value.hint


def test_a_table_that_was_renamed_with_all_of_its_own_is_in_nobody_s_way(
    datastore_url_18, database_18, first, second
):
    load(first, Options("t", datastore_url_18))
    index = database_18.execute(
        "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 't'::regclass"
        " AND NOT indisprimary"
    ).fetchone()[0]
    database_18.execute("ALTER TABLE t RENAME TO put_aside")
    for kind, old in (("SEQUENCE", "t__id_seq"), ("INDEX", "t_pkey"), ("INDEX", index)):
        database_18.execute(
            f"ALTER {kind} {old} RENAME TO put_aside_{kind}_{old[:3].strip(chr(34))}"
        )
    load(second, Options("t", datastore_url_18))
    assert len(rows_of(database_18, "put_aside")) > 0


LOST = {
    "statistics object known": "CREATE STATISTICS known ON n, name FROM t",
    "the PRIMARY KEY (n)": "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (n)",
    "the PRIMARY KEY (n, _id)": "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (n, _id)",
    "the collation of name": 'ALTER TABLE t ALTER name TYPE text COLLATE "C"',
}


@pytest.mark.parametrize(("what", "statement"), LOST.items(), ids=LOST)
def test_what_is_lost_with_the_old_table_is_named(
    datastore_url, database, first, second, caplog, what, statement
):
    load(first, Options("t", datastore_url))
    database.execute(statement)
    report = load(second, Options("t", datastore_url))
    lost = f"not carried over from the old table: {what}"
    assert report.warnings == [lost]
    assert [r.message for r in caplog.records if r.levelno == logging.WARNING] == [f"t: {lost}"]
    assert load(first, Options("t", datastore_url)).warnings == []


class AfterTheSwap(logging.Handler):
    """Does something when the log says that the swap is done."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__()
        self._action = action

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("swapping the tables: "):
            self._action()


FAULTS = {
    "the connection is cut": (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE '%load t%'"
    ),
    "the comments cannot be read": (
        "ALTER FUNCTION pg_catalog.col_description(oid, integer) RENAME TO gone"
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "another"])
def test_what_fails_once_the_rows_are_shown_is_a_warning(
    datastore_url, database, first, second, caplog, is_first, fault
):
    if not is_first:
        load(first, Options("t", datastore_url))
    caplog.set_level(logging.INFO, "loader.steps")
    handler = AfterTheSwap(lambda: database.execute(fault))
    logging.getLogger("loader.steps").addHandler(handler)
    try:
        report = load(second, Options("t", datastore_url))
    finally:
        logging.getLogger("loader.steps").removeHandler(handler)
    unknown = "whether the Data Dictionary's types changed during the load is unknown: "
    assert report.warnings[0].startswith(unknown)
    assert (report.error, report.rows) == (None, 1500)
    assert database.execute("SELECT count(*) FROM t").fetchone() == (1500,)
    assert shadows(database) == []


def test_a_connection_lost_at_the_commit_leaves_open_which_table_is_there(
    datastore_url_18, database_18, first, second
):
    load(first, Options("t", datastore_url_18))
    # A deferred trigger runs within COMMIT: here it ends its own server.
    database_18.execute(
        "CREATE TABLE swaps (at text);"
        "CREATE FUNCTION end_server() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON swaps DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION end_server();"
        "CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO swaps VALUES ('now'); END $$"
    )
    note = "CREATE EVENT TRIGGER note ON sql_drop EXECUTE FUNCTION note()"
    progress = AtStep("swapping the tables", lambda: database_18.execute(note))
    with pytest.raises(DatabaseUnreachable) as lost:
        load(second, Options("t", datastore_url_18), progress)
    assert lost.value.retryable
    assert "the server may have swapped the tables" in lost.value.hint
    assert database_18.execute("SELECT count(*) FROM t").fetchone() == (1000,)


def test_a_connection_lost_before_the_commit_leaves_the_old_table(
    datastore_url_18, database_18, first, second
):
    load(first, Options("t", datastore_url_18))
    database_18.execute(
        "CREATE FUNCTION end_server() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$"
    )
    end = "CREATE EVENT TRIGGER ending ON sql_drop EXECUTE FUNCTION end_server()"
    progress = AtStep("swapping the tables", lambda: database_18.execute(end))
    with pytest.raises(DatabaseUnreachable) as lost:
        load(second, Options("t", datastore_url_18), progress)
    assert lost.value.table == "untouched"
    assert "may have swapped" not in (lost.value.hint or "")
    # Whoever follows an error's causes is to come to their end.
    assert lost.value.__cause__ is not lost.value
    assert database_18.execute("SELECT count(*) FROM t").fetchone() == (1000,)


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
