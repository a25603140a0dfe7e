"""Whatever stops a load: the old table is intact and readable, and the next load succeeds."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest
from datastore import rows_of, shadows, stall, unstall, wait_for
from http_server import HttpServer
from typer.testing import CliRunner

from loader.cli.commands import app
from loader.embedded import server as embedded
from loader.errors import DatabaseError, DatabaseFull, DatabaseUnreachable, LoadInProgress
from loader.formats.csv import blocks
from loader.options import Options
from loader.pipeline.load import load
from loader.progress import Silent

OLD = [(1, "old"), (2, "older")]
NEW = [(i, f"row {i}") for i in range(1, 5001)]

# The command itself, with blocks so small that a file of these tests has many.
COMMAND = """
import functools
from loader.cli import commands as cli
from loader.formats.csv import blocks
from loader.formats.csv import opening
opening._HEAD_BYTES = 4096
blocks.cut = functools.partial(blocks.cut, block_bytes=65536)
cli.main()
"""


def csv_of(rows: Iterable[tuple]) -> str:
    return "n,name\n" + "".join(f"{n},{name}\n" for n, name in rows)


def write(path: Path, rows: Iterable[tuple]) -> str:
    path.write_text(csv_of(rows))
    return str(path)


def slow_server() -> HttpServer:
    """A source whose rows take ten seconds to come."""
    content = csv_of((i, "x" * 90) for i in range(150_000)).encode()
    return HttpServer(content, bytes_per_s=1_500_000)


@pytest.fixture
def old_table(database_18, datastore_url_18, tmp_path) -> None:
    load(write(tmp_path / "old.csv", OLD), Options("t", datastore_url_18))


@pytest.fixture
def new_file(tmp_path) -> str:
    return write(tmp_path / "new.csv", NEW)


@pytest.fixture
def command(datastore_url_18, tmp_path) -> Iterator[Callable[[str], subprocess.Popen]]:
    """Start a load of its own process; what still runs of it in the end is killed."""
    started = []

    def start(source: str) -> subprocess.Popen:
        arguments = ["load", source, "--resource-id", "t", "--lanes", "2"]
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            env={**os.environ, "AIRCAN_DATASTORE_URL": datastore_url_18},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def load_when_free(source: str, options: Options) -> None:
    """Load as soon as the server has noticed that the last loader is dead."""
    end = time.monotonic() + 30
    while True:
        try:
            load(source, options)
        except LoadInProgress:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            return


def assert_old_table_is_readable(connection: psycopg.Connection) -> None:
    connection.execute("SET statement_timeout = '30s'")
    assert rows_of(connection, "t") == OLD
    found = connection.execute("SELECT n FROM t WHERE _full_text @@ to_tsquery('older')")
    assert found.fetchall() == [(2,)]


# Where a load is stopped: the statement that the server is made to hang in.
STATEMENTS = {
    "create": "%CREATE TABLE%",
    "primary key": "%PRIMARY KEY%",
    "full text": "%DROP EXPRESSION%",
    "index": "CREATE INDEX%",
    "swap, about to rename": "ALTER TABLE%RENAME%",
    "swap, about to drop": 'DROP TABLE "public"%old"',
    "swap, dropped already": "ALTER SEQUENCE%RENAME%",
}


@pytest.mark.parametrize("pattern", STATEMENTS.values(), ids=STATEMENTS)
def test_killed_while_the_server_works(
    database_18, datastore_url_18, old_table, new_file, command, pattern
):
    stall(database_18, pattern)
    process = command(new_file)
    wait_for(database_18, "wait_event = 'PgSleep'")
    process.kill()
    process.wait()
    # In the middle of the swap the server first has to notice that the loader is dead.
    assert_old_table_is_readable(database_18)
    unstall(database_18)
    load_when_free(new_file, Options("t", datastore_url_18))
    assert rows_of(database_18, "t") == NEW
    assert shadows(database_18) == []


COPYING = "application_name LIKE 'aircan lane%' AND query LIKE 'COPY%' AND state = 'active'"


@pytest.mark.parametrize(
    ("bytes_per_s", "stage"),
    [(20_000, "application_name LIKE 'aircan load%'"), (1_500_000, COPYING)],
    ids=["infer", "copy"],
)
def test_killed_while_the_source_is_read(
    database_18, datastore_url_18, old_table, new_file, command, bytes_per_s, stage
):
    with slow_server() as server:
        server.bytes_per_s = bytes_per_s
        process = command(server.url)
        wait_for(database_18, stage)
        process.kill()
        process.wait()
    assert_old_table_is_readable(database_18)
    load_when_free(new_file, Options("t", datastore_url_18))
    assert rows_of(database_18, "t") == NEW
    assert shadows(database_18) == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("stage", [COPYING, "wait_event = 'PgSleep'"], ids=["copy", "index"])
def test_stopped_by_the_user(
    database_18, datastore_url_18, old_table, new_file, command, stop, stage
):
    stall(database_18, "CREATE INDEX%")
    with slow_server() as server:
        process = command(server.url if stage == COPYING else new_file)
        wait_for(database_18, stage)
        process.send_signal(stop)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "aircan: the load was stopped\n  table: as it was" in errors
    assert "Traceback" not in errors
    assert shadows(database_18) == []
    assert_old_table_is_readable(database_18)
    unstall(database_18)
    load(new_file, Options("t", datastore_url_18))
    assert rows_of(database_18, "t") == NEW


class At(Silent):
    """Does something when a step begins, or after a block."""

    def __init__(self, step: str, action: Callable[[], object]) -> None:
        self._step = step
        self._action: Callable[[], object] | None = action

    def begin(self, title: str) -> None:
        if title == self._step:
            self._act()

    def advance(self, bytes_read: int, rows: int) -> None:
        if self._step == "a block":
            self._act()

    def _act(self) -> None:
        action, self._action = self._action, None
        if action:
            action()


def terminate(connection: psycopg.Connection, purpose: str) -> int:
    """End the server's side of a load's connections."""
    ended = connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE %s",
        (f"aircan {purpose}%",),
    )
    return len(ended.fetchall())


def test_the_command_says_in_one_line_what_happened(
    database_18, old_table, command, datastore_url_18
):
    with slow_server() as server:
        process = command(server.url)
        wait_for(database_18, COPYING)
        terminate(database_18, "lane")
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output == ""
    # The server's own words, or libpq's, as it comes first.
    error, hint, table = errors.splitlines()[-3:]
    assert error.startswith("aircan: copying rows: ")
    assert hint.startswith("  hint: the ")
    assert hint.endswith(": load again")
    assert table == "  table: as it was"
    assert "ignored" not in errors
    assert shadows(database_18) == []


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(blocks, "cut", partial(blocks.cut, block_bytes=4096))
    monkeypatch.setattr("loader.copy.lanes.WATCH_EVERY_S", 0.0)


@pytest.mark.parametrize(
    ("step", "purpose"),
    [
        ("a block", "lane"),
        ("a block", "load"),
        ("adding the primary key", "load"),
        ("indexing the full text", "load"),
        ("swapping the tables", "load"),
    ],
)
def test_lost_connection(
    database_18, datastore_url_18, old_table, new_file, small_blocks, step, purpose
):
    lost = []
    progress = At(step, lambda: lost.append(terminate(database_18, purpose)))
    with pytest.raises(DatabaseUnreachable, match=r"terminat|clos|lost") as failure:
        load(new_file, Options("t", datastore_url_18, lanes=2), progress)
    assert lost == [2 if purpose == "lane" else 1]
    assert failure.value.retryable
    assert failure.value.report.error is failure.value
    assert_old_table_is_readable(database_18)
    load(new_file, Options("t", datastore_url_18))
    assert rows_of(database_18, "t") == NEW
    assert shadows(database_18) == []


def test_rows_that_replace_none_are_shown_before_they_are_indexed(
    database_18, datastore_url_18, new_file
):
    seen = []
    progress = At("indexing the full text", lambda: seen.extend(rows_of(database_18, "t")))
    load(new_file, Options("t", datastore_url_18), progress)
    assert seen == NEW


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_rows_that_are_shown_and_cannot_be_indexed_are_loaded(
    database_18, datastore_url_18, new_file, mode
):
    progress = At("indexing the full text", lambda: terminate(database_18, "load"))
    report = load(new_file, Options("t", datastore_url_18, mode=mode), progress)
    assert report.warnings[0].startswith("searches are slow, the rows are not indexed: ")
    assert rows_of(database_18, "t") == NEW
    load(new_file, Options("t", datastore_url_18))
    assert rows_of(database_18, "t") == NEW
    indexes = database_18.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 't'")
    assert sum("gin (_full_text)" in row[0] for row in indexes) == 1


@pytest.fixture
def own_server(data_folder: Path) -> str:
    """The URL of a PostgreSQL that only this test uses."""
    return embedded.start()


def test_server_restarted_during_the_copy(own_server, tmp_path, new_file, small_blocks):
    load(write(tmp_path / "old.csv", OLD), Options("t", own_server))

    def restart() -> None:
        embedded.stop()
        embedded.start()

    with pytest.raises(DatabaseUnreachable):
        load(new_file, Options("t", own_server), At("a block", restart))
    with psycopg.connect(own_server, autocommit=True) as connection:
        assert_old_table_is_readable(connection)
        load(new_file, Options("t", own_server))
        assert rows_of(connection, "t") == NEW
        assert shadows(connection) == []


def limit_files(connection: psycopg.Connection, bytes_: int) -> None:
    """Let no file of the lanes' servers grow any more, as on a full disk."""
    pids = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'aircan lane%'"
    )
    for (pid,) in pids:
        server = psutil.Process(pid)
        subprocess.run(
            ["prlimit", "--pid", str(pid), f"--fsize={bytes_}:"],
            check=True,
            user=server.uids().real,
            group=server.gids().real,
        )


def test_disk_full_during_the_copy(database_18, datastore_url_18, old_table, tmp_path):
    """The error comes when it happens, not at the end of the file."""
    generator = random.Random(1)
    lines = [f"{i},{generator.randbytes(50_000).hex()}\n" for i in range(250)]
    path = tmp_path / "large.csv"
    path.write_text("n,name\n" + "".join(lines))
    wal_segment = 16 << 20  # it needs to be written still, or the whole server goes down
    progress = At("a block", lambda: limit_files(database_18, wal_segment))
    options = Options("t", datastore_url_18, lanes=1, full_text="none")
    with pytest.raises(DatabaseError, match="could not extend file"):
        load(str(path), options, progress)
    assert shadows(database_18) == []
    assert_old_table_is_readable(database_18)
    load(str(path), options)
    assert database_18.execute("SELECT count(*) FROM t").fetchone() == (250,)


def test_room_for_temporary_files_used_up_during_the_index(
    database_18, datastore_url_18, old_table, new_file
):
    name = database_18.info.dbname
    database_18.execute(f'ALTER DATABASE "{name}" SET temp_file_limit = 0')
    database_18.execute(f'ALTER DATABASE "{name}" SET maintenance_work_mem = 64')
    with pytest.raises(DatabaseFull, match="temporary file size") as failure:
        load(new_file, Options("t", datastore_url_18))
    assert failure.value.retryable
    assert "free disk space" in failure.value.hint
    assert shadows(database_18) == []
    assert_old_table_is_readable(database_18)
    database_18.execute(f'ALTER DATABASE "{name}" RESET temp_file_limit')
    load(new_file, Options("t", datastore_url_18))
    assert rows_of(database_18, "t") == NEW


def test_a_failing_copy_is_noticed_before_the_end_of_the_file(
    database_18, datastore_url_18, old_table, new_file, small_blocks
):
    read = []

    class Count(At):
        def advance(self, bytes_read: int, rows: int) -> None:
            read.append(rows)
            super().advance(bytes_read, rows)
            time.sleep(0.02)

    with pytest.raises(DatabaseUnreachable):
        load(
            new_file,
            Options("t", datastore_url_18),
            Count("a block", lambda: terminate(database_18, "lane")),
        )
    assert read[-1] < len(NEW)


def test_cleanup_drops_what_dead_loads_left_and_spares_the_living(
    database_18, datastore_url_18, old_table, command
):
    def cleanup(*arguments: str) -> str:
        return CliRunner().invoke(app, ["cleanup", *arguments], env=environment).stdout

    environment = {"AIRCAN_DATASTORE_URL": datastore_url_18}
    with slow_server() as server:
        process = command(server.url)
        wait_for(database_18, COPYING)
        assert cleanup() == "nothing to clean up\n"
        (shadow,) = shadows(database_18)
        process.kill()
        process.wait()
    end = time.monotonic() + 20
    while cleanup("--dry-run") != f"would drop {shadow}\n":
        assert time.monotonic() < end  # the server has not noticed yet
    assert shadows(database_18) == [shadow]
    assert cleanup() == f"dropped {shadow}\n"
    assert shadows(database_18) == []
    assert_old_table_is_readable(database_18)


# Leaves the process so much memory beside what it has when everything is imported.
SHORT_OF_MEMORY = """
import re, resource, sys
import pyarrow.compute, pyarrow.csv, frictionless
from loader.cli import commands as cli
from loader.copy import destination
taken = int(re.search(r"VmSize:\\s+([0-9]+) kB", open("/proc/self/status").read())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (taken + (int(sys.argv.pop(1)) << 20),) * 2)
cli.main()
"""


@pytest.mark.parametrize("command", ["load", "validate"])
def test_memory_that_is_used_up_is_told_as_that(
    database_18, datastore_url_18, tmp_path, old_table, command
):
    path = tmp_path / "t.csv"
    path.write_text(
        "a,b\n" + "1,x\n" * 400_000 + '2,"' + '""€' * (6 << 20) + '"\n', encoding="utf-8"
    )
    where = ["--resource-id", "t", "--datastore-url", datastore_url_18, "--lanes", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, "200", command, str(path)]
        + (where if command == "load" else []),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert "aircan: the memory" in done.stderr, done.stderr
    assert "hint: give it more" in done.stderr
    assert done.returncode == 1
    assert rows_of(database_18, "t") == OLD
    if command == "load":
        assert json.loads(done.stdout)["error"]["type"] == "OutOfMemory"
