"""Whoever ends a load is told what has become of the table: before, at and after its change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from cut_connection import CutConnection
from datastore import create, install_ckan, rows_of, stall, wait_for
from typer.testing import CliRunner

from loader import errors
from loader.cli.commands import app
from loader.errors import AircanError, DatabaseUnreachable
from loader.options import Options
from loader.pipeline.load import load
from loader.report import TABLE_STATES, table_state

OLD, NEW = [(1, "old")], [(2, "new")]
CHANGED = {"replace": "replaced", "append": "merged", "upsert": "merged"}
ROWS = {"replace": NEW, "append": OLD + NEW, "upsert": OLD + NEW}
MODES = pytest.mark.parametrize("mode", CHANGED)


@pytest.fixture
def old_table(database_18: psycopg.Connection) -> None:
    install_ckan(database_18)
    create(database_18, "t", "n bigint, name text", "(1, 'old')")


@pytest.fixture
def new_file(tmp_path: Path) -> str:
    path = tmp_path / "new.csv"
    path.write_text("n,name\n2,new\n")
    return str(path)


def options(url: str, mode: str) -> Options:
    return Options("t", url, mode=mode, key=["n"] if mode == "upsert" else [], lanes=1)


def failed(source: str, given: Options) -> AircanError:
    """Load in vain; return the error."""
    with pytest.raises(AircanError) as caught:
        load(source, given)
    error = caught.value
    assert error.report is not None
    assert error.table == error.to_dict()["table"] == error.report.to_dict()["table"]
    return error


def refuse(connection: psycopg.Connection, trigger: str) -> None:
    """Let every statement that a trigger is called for fail."""
    connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no'; END $$"
    )
    connection.execute(f"CREATE {trigger} FOR EACH ROW EXECUTE FUNCTION refuse()")


def refuse_the_swap(connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF current_query() LIKE 'ALTER SEQUENCE%' THEN RAISE EXCEPTION 'no'; END IF; END $$"
    )
    connection.execute("CREATE EVENT TRIGGER refuse ON ddl_command_end EXECUTE FUNCTION refuse()")


@MODES
def test_a_load_that_is_done_says_what_it_did(
    datastore_url_18, database_18, old_table, new_file, mode
):
    report = load(new_file, options(datastore_url_18, mode))
    assert report.table == report.to_dict()["table"] == CHANGED[mode]
    assert rows_of(database_18, "t") == ROWS[mode]


@MODES
def test_a_table_that_was_not_there_is_replaced(datastore_url_18, new_file, mode):
    assert load(new_file, options(datastore_url_18, mode)).table == "replaced"


@MODES
@pytest.mark.parametrize("source", ["nowhere.csv", "n,name\n3,new,more\n", ""])
def test_what_fails_before_the_change_leaves_the_table(
    datastore_url_18, database_18, old_table, tmp_path, mode, source
):
    path = tmp_path / "broken.csv"
    path.write_text(source)
    name = source if source == "nowhere.csv" else str(path)
    assert failed(name, options(datastore_url_18, mode)).table == "untouched"
    assert rows_of(database_18, "t") == OLD


# name: mode, what is done to the database
REFUSALS = {
    "the swap": ("replace", refuse_the_swap),
    "a row that is added": ("append", lambda c: refuse(c, "TRIGGER r BEFORE INSERT ON t")),
    "a row that is put in": ("upsert", lambda c: refuse(c, "TRIGGER r AFTER INSERT ON t")),
    "the commit": (
        "append",
        lambda c: refuse(c, "CONSTRAINT TRIGGER r AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"),
    ),
}


@pytest.mark.parametrize(("mode", "prepare"), REFUSALS.values(), ids=REFUSALS)
def test_what_the_server_refuses_leaves_the_table(
    datastore_url_18, database_18, old_table, new_file, mode, prepare
):
    prepare(database_18)
    error = failed(new_file, options(datastore_url_18, mode))
    assert str(error).endswith(": no")
    assert error.table == "untouched"
    assert rows_of(database_18, "t") == OLD


# mode: what the last statement looks like, before its COMMIT, that no other transaction has
LAST = {"replace": b"RENAME TO", "append": b"INSERT INTO", "upsert": b"ON CONFLICT"}


@MODES
@pytest.mark.parametrize("forwards", [True, False], ids=["it was done", "it was not done"])
def test_a_connection_that_breaks_in_the_commit_leaves_it_unknown(
    datastore_url_18, database_18, old_table, new_file, mode, forwards
):
    with CutConnection(datastore_url_18, LAST[mode], forwards=forwards) as proxy:
        error = failed(new_file, options(proxy.url, mode))
        assert proxy.has_cut
    assert isinstance(error, DatabaseUnreachable)
    assert error.table == "unknown"
    assert "before the connection broke" in error.hint
    assert rows_of(database_18, "t") == (ROWS[mode] if forwards else OLD)


# Stopped by SIGTERM, or without its connection, while the server sleeps.


def sleep_when(trigger: str, connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$"
    )
    connection.execute(f"CREATE {trigger} FOR EACH ROW EXECUTE FUNCTION nap()")


def in_a_row(connection: psycopg.Connection) -> None:
    sleep_when("TRIGGER nap BEFORE INSERT ON t", connection)


def in_the_commit(connection: psycopg.Connection) -> None:
    sleep_when("CONSTRAINT TRIGGER nap AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED", connection)


def in_the_counting(connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE OR REPLACE FUNCTION public.update_cached_table_row_count(table_name name)"
        " RETURNS bigint LANGUAGE sql AS 'SELECT 1 FROM (SELECT pg_sleep(60)) s'"
    )


def in_the_first_index(connection: psycopg.Connection) -> None:
    connection.execute("DROP TABLE t")
    stall(connection, "CREATE INDEX%")


# name: mode, where the server sleeps, what has become of the table when the load is stopped there
STOPS = {
    "replace, before": ("replace", lambda c: stall(c, "CREATE INDEX%"), "untouched"),
    "replace, in the swap": ("replace", lambda c: stall(c, "ALTER SEQUENCE%"), "untouched"),
    "replace, after": ("replace", in_the_first_index, "replaced"),
    "append, in a row": ("append", in_a_row, "untouched"),
    "append, in the commit": ("append", in_the_commit, "unknown"),
    "append, after": ("append", in_the_counting, "merged"),
    "upsert, in a row": ("upsert", in_a_row, "untouched"),
    "upsert, in the commit": ("upsert", in_the_commit, "unknown"),
    "upsert, after": ("upsert", in_the_counting, "merged"),
}


@pytest.mark.parametrize(("mode", "prepare", "table"), STOPS.values(), ids=STOPS)
def test_a_load_that_is_stopped_tells_what_has_become_of_the_table(
    datastore_url_18, database_18, old_table, new_file, mode, prepare, table
):
    prepare(database_18)
    key = ["--key", "n"] if mode == "upsert" else []
    arguments = ["load", new_file, "--resource-id", "t", "--mode", mode, *key, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "loader", *arguments],
        env={**os.environ, "AIRCAN_DATASTORE_URL": datastore_url_18},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(database_18, "wait_event = 'PgSleep'")
    process.send_signal(signal.SIGTERM)
    output, said = process.communicate(timeout=60)
    report = json.loads(output)
    assert (report["error"]["type"], report["error"]["table"]) == ("Cancelled", table)
    assert report["table"] == table
    assert said.splitlines()[-2] == "aircan: the load was stopped"
    assert said.splitlines()[-1].startswith("  table: ")
    assert is_as_told(database_18, table, mode)


def is_as_told(connection: psycopg.Connection, table: str, mode: str) -> bool:
    if table == "unknown":
        return True
    return rows_of(connection, "t") == (OLD if table == "untouched" else ROWS[mode])


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_connection_that_breaks_before_the_commit_leaves_the_table(
    datastore_url_18, database_18, old_table, new_file, mode
):
    in_a_row(database_18)
    loading = subprocess.Popen(
        [sys.executable, "-c", TERMINATE, datastore_url_18], stdout=subprocess.DEVNULL
    )
    error = failed(new_file, options(datastore_url_18, mode))
    loading.communicate(timeout=60)
    assert isinstance(error, DatabaseUnreachable)
    assert error.table == "untouched"
    assert rows_of(database_18, "t") == OLD


# Of another process, since the load is in this one.
TERMINATE = """
import sys, time, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    while not connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep'"
    ).fetchall():
        time.sleep(0.1)
"""


@pytest.mark.parametrize(
    ("arguments", "table"),
    [
        (["--mode", "append", "--key", "n"], "untouched"),
        (["--encoding", "klingon"], "untouched"),
        (["--rejects", "new.csv"], "untouched"),
        (["--mode", "upsert"], "untouched"),
    ],
    ids=["options that exclude each other", "no encoding", "its own rejects", "no key"],
)
def test_refused_options_leave_the_table(
    datastore_url_18, database_18, old_table, new_file, monkeypatch, arguments, table
):
    monkeypatch.setenv("AIRCAN_DATASTORE_URL", datastore_url_18)
    monkeypatch.chdir(Path(new_file).parent)
    done = CliRunner().invoke(app, ["load", "new.csv", "--resource-id", "t", "--json", *arguments])
    report = json.loads(done.stdout)
    assert (done.exit_code, report["error"]["type"]) == (2, "UsageError")
    assert report["table"] == report["error"]["table"] == table
    assert rows_of(database_18, "t") == OLD


def test_an_error_that_no_load_ended_with_tells_nothing_of_the_table():
    assert errors.DatabaseError("no").table == "unknown"
    assert errors.UsageError("no").table == "untouched"


@pytest.mark.parametrize(
    ("word", "state"),
    [*((state, state) for state in TABLE_STATES), ("t", "unknown"), (None, "unknown")],
)
def test_what_is_no_state_is_unknown(word, state):
    assert table_state(word) == state
