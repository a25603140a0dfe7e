"""Connections to real servers, and what their refusals become."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from datastore import install_ckan, wait_for
from processes import is_running
from psycopg.conninfo import conninfo_to_dict

from loader import errors
from loader.copy import database as connections
from loader.copy import lanes, refusal, relation, shadow
from loader.embedded import server as embedded
from loader.errors import (
    AuthenticationFailed,
    DatabaseError,
    DatabaseFull,
    DatabaseUnreachable,
    DependentObjects,
    PermissionDenied,
    RowRefused,
    TableBusy,
    UsageError,
)
from loader.options import Options
from loader.pipeline.load import load
from loader.types.column import Column

PASSWORD = "p@ss/wörd:%"


@pytest.mark.parametrize(
    "scheme",
    ["postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg", "postgres+asyncpg"],
)
def test_every_way_to_write_a_postgres_url(datastore_url_18, scheme):
    url = datastore_url_18.replace("postgresql", f" {scheme}", 1) + "\n"
    with closing(connections.connect(connections.normalise_url(url), "test")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:secret@localhost/db",
        "host=localhost password=secret",
        "secret",
        "",
        "https://secret@example.org",
    ],
)
def test_what_is_not_a_postgres_url(url):
    with pytest.raises(UsageError, match="not a Postgres URL") as refused:
        connections.normalise_url(url)
    assert "secret" not in f"{refused.value} {refused.value.hint}"


MALFORMED = [
    "postgresql://user:se@cret@localhost/db",
    "postgresql://user:se/cret@localhost/db",
    "postgresql://user:se#cret@localhost/db",
    "postgresql://user:se?cret@localhost/db",
    "postgresql://user:100%secret@localhost/db",
    "postgresql://user:sec ret@localhost:port/db",
    "postgresql://user:secret@[localhost/db",
    "postgresql://user:se[cret]@localhost/db",
    "postgresql://user:secret@localhost/db?nosuchoption=1",
]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_not_shown(url, tmp_path):
    """The likeliest reason is a password with a character that needs to be encoded."""
    with pytest.raises((UsageError, DatabaseUnreachable)) as refused:
        load(str(tmp_path / "t.csv"), Options("t", url))
    shown = f"{refused.value} {refused.value.hint} {refused.value.report.to_dict()}"
    assert "cret" not in shown
    assert "se@" not in shown


def test_a_malformed_url_is_not_shown_by_the_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "loader", "load", str(tmp_path / "t.csv"), "--json"],
        env={**os.environ, "AIRCAN_DATASTORE_URL": MALFORMED[0]},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["type"] == "UsageError"
    assert "'@' is %40" in done.stderr
    assert "cret" not in done.stdout + done.stderr


@pytest.mark.usefixtures("hurried")
def test_nobody_listens(tmp_path):
    url = f"postgresql://user:{quote(PASSWORD, safe='')}@/db?host={tmp_path}&port=5999"
    with pytest.raises(DatabaseUnreachable) as refused:
        connections.connect(connections.normalise_url(url), "test")
    assert refused.value.retryable
    assert f"db on {tmp_path}:5999 as user" in refused.value.hint
    assert PASSWORD not in f"{refused.value} {refused.value.hint}"


@pytest.mark.usefixtures("hurried")
def test_a_host_that_does_not_exist():
    with pytest.raises(DatabaseUnreachable):
        connections.connect("postgresql://user@no-such-host.invalid/db", "test")


@pytest.fixture(scope="module")
def guarded(servers: Path, made_cluster: Path) -> str:
    """The URL of a server that asks the role `writer` for its password."""
    folder = servers / "guarded" / "postgres-18"
    folder.parent.mkdir(mode=0o755)
    subprocess.run(["cp", "-a", made_cluster, folder], check=True)
    rules = folder / "pg_hba.conf"
    rules.write_text(f"local all writer scram-sha-256\n{rules.read_text()}")
    url = embedded.Cluster(folder, options=("-c", "fsync=off")).start()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE writer LOGIN")
        connection.execute(
            psycopg.sql.SQL("ALTER ROLE writer PASSWORD {}").format(psycopg.sql.Literal(PASSWORD))
        )
    return url


def as_writer(url: str, password: str | None, database: str = embedded.DATABASE) -> str:
    host = quote(conninfo_to_dict(url)["host"])
    secret = f":{quote(password, safe='')}" if password else ""
    return f"postgresql://writer{secret}@/{database}?host={host}&port=5432"


def test_the_right_password(guarded):
    with closing(connections.connect(as_writer(guarded, PASSWORD), "test")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("writer",)


@pytest.mark.parametrize("password", ["wrong-" + PASSWORD, None], ids=["wrong", "none"])
def test_the_wrong_password(guarded, password):
    with pytest.raises(AuthenticationFailed) as refused:
        connections.connect(as_writer(guarded, password), "test")
    error = refused.value
    assert "password" in str(error)
    assert error.option == "datastore_url"
    assert not error.retryable
    assert PASSWORD not in f"{error} {error.hint} {error.__cause__!r}"


@pytest.mark.parametrize("password", [PASSWORD, None], ids=["with password", "without"])
def test_a_database_that_does_not_exist(guarded, password):
    url = as_writer(guarded, password, "nowhere")
    if password is None:
        url = url.replace("writer", embedded.SUPERUSER)
    with pytest.raises(AuthenticationFailed, match='database "nowhere" does not exist') as refused:
        connections.connect(url, "test")
    assert "database" in refused.value.hint


def test_a_role_that_may_not_create_tables(guarded, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    with pytest.raises(PermissionDenied) as refused:
        load(str(path), Options("t", as_writer(guarded, PASSWORD)))
    assert "permission denied for schema public" in str(refused.value)
    assert "write role" in refused.value.hint


def test_a_live_table_of_another_role(guarded, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    load(str(path), Options("theirs", guarded))
    with psycopg.connect(guarded, autocommit=True) as connection:
        connection.execute("GRANT CREATE ON SCHEMA public TO writer")
        try:
            with pytest.raises(PermissionDenied) as refused:
                load(str(path), Options("theirs", as_writer(guarded, PASSWORD)))
        finally:
            connection.execute("REVOKE CREATE ON SCHEMA public FROM writer")
        assert connection.execute("SELECT a FROM theirs").fetchall() == [(1,)]
    assert "write role" in refused.value.hint


@pytest.mark.usefixtures("hurried")
def test_more_lanes_than_the_server_has_connections_for(guarded, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    with psycopg.connect(guarded, autocommit=True) as connection:
        connection.execute("GRANT CREATE ON SCHEMA public TO writer")
        connection.execute("ALTER ROLE writer CONNECTION LIMIT 4")
        with pytest.raises(DatabaseFull, match="too many connections") as refused:
            load(str(path), Options("t", as_writer(guarded, PASSWORD), lanes=3))
        assert refused.value.retryable
        assert "fewer lanes" in refused.value.hint
        load(str(path), Options("t", as_writer(guarded, PASSWORD), lanes=2))
        connection.execute("ALTER ROLE writer CONNECTION LIMIT -1")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM writer")


FULL = {
    "role": ("ALTER ROLE writer CONNECTION LIMIT 1", "ALTER ROLE writer CONNECTION LIMIT -1"),
    "database": (
        f"ALTER DATABASE {embedded.DATABASE} CONNECTION LIMIT 2",
        f"ALTER DATABASE {embedded.DATABASE} CONNECTION LIMIT -1",
    ),
}


@pytest.mark.parametrize("where", [*FULL, "server"])
def test_a_server_without_connections_left(request, guarded, tmp_path, monkeypatch, where):
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    with ExitStack() as stack:
        url = as_writer(guarded, PASSWORD)
        if where == "server":
            small = request.getfixturevalue("small")
            url = as_writer(small, None)
            held = [stack.enter_context(psycopg.connect(url)) for _ in range(2)]
        else:
            limit, no_limit = FULL[where]
            admin = stack.enter_context(psycopg.connect(guarded, autocommit=True))
            admin.execute(limit)
            stack.callback(admin.execute, no_limit)
            held = [stack.enter_context(psycopg.connect(url))]
        with monkeypatch.context() as hurried:
            hurried.setattr(connections, "GIVE_UP_AFTER_S", 0.6)
            with pytest.raises(DatabaseFull, match="connection") as refused:
                load(str(path), Options("t", url))
        assert refused.value.retryable
        assert refused.value.option is None
        # One that ends meanwhile is waited for.
        threading.Timer(1, held[0].close).start()
        connections.connect(url, "test").close()


@pytest.fixture
def small(empty_data_folder: Path, made_cluster: Path) -> str:
    """The URL of a server that takes two connections of others than superusers."""
    folder = empty_data_folder / "postgres-18"
    subprocess.run(["cp", "-a", made_cluster, folder], check=True)
    limits = ("max_connections=5", "superuser_reserved_connections=3")
    url = embedded.Cluster(
        folder, options=tuple(part for limit in ("fsync=off", *limits) for part in ("-c", limit))
    ).start()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE writer LOGIN")
    return url


def test_a_server_that_shuts_down(small):
    """It waits for the session that is there, and lets no other in."""
    with psycopg.connect(small) as connection:
        connection.execute("SELECT 1")
        pid_file = Path(conninfo_to_dict(small)["host"]) / "postmaster.pid"
        pid = int(pid_file.read_text().split()[0])
        os.kill(pid, signal.SIGTERM)
        with pytest.raises(DatabaseUnreachable, match="shutting down") as refused:
            connections.connect(small, "test")
    assert refused.value.retryable
    while is_running(pid):  # its folder is deleted next
        time.sleep(0.01)


@pytest.mark.parametrize("first", ["refuses", "is full"])
def test_one_of_several_hosts_may_accept_it_later(guarded, small, first):
    """And then the word of the others does not matter, whatever their order."""
    hosts = [conninfo_to_dict(url)["host"] for url in (guarded, small)]
    if first == "is full":
        hosts.reverse()
    url = f"postgresql://writer:wrong@/{embedded.DATABASE}?host={','.join(hosts)}&port=5432,5432"
    held = [psycopg.connect(as_writer(small, None)) for _ in range(2)]
    try:
        with pytest.raises(DatabaseFull):
            connections.connect(url, "test")
    finally:
        for one in held:
            one.close()


@pytest.mark.usefixtures("hurried")
def test_where_the_refusal_cannot_be_asked_for_it_may_pass(guarded, monkeypatch):
    """Other systems than Linux: what the server means is not known."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DatabaseUnreachable) as refused:
        connections.connect(as_writer(guarded, "wrong"), "test")
    assert "password" in refused.value.hint


# What keeps the server from being asked once more how it refuses: who fails, and how.
CANNOT_ASK = {
    "no file in memory": (os, "memfd_create", PermissionError(1, "Operation not permitted")),
    "no file left": (os, "memfd_create", OSError(24, "Too many open files")),
    "an old libpq": (refusal, "_try", psycopg.NotSupportedError("libpq 13")),
    "no other connection": (refusal, "_wait", psycopg.OperationalError("no socket")),
    "no words": (refusal, "conninfo_to_dict", psycopg.ProgrammingError("invalid")),
}


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("owner", "name", "error"), CANNOT_ASK.values(), ids=CANNOT_ASK)
def test_where_asking_fails_the_first_error_is_told(guarded, monkeypatch, owner, name, error):
    def fail(*_: object) -> None:
        raise error

    url = as_writer(guarded, "wrong")
    monkeypatch.setattr(owner, name, fail)
    assert refusal.ask(url) is None
    with pytest.raises(DatabaseUnreachable, match="password") as refused:
        connections.connect(url, "test")
    assert "password" in refused.value.hint


def test_where_there_are_no_files_in_memory_nothing_is_asked(guarded, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    assert refusal.ask(as_writer(guarded, "wrong")) is None


def test_a_server_that_is_too_old():
    connections.check_version(130_000)
    with pytest.raises(DatabaseError, match="PostgreSQL 12") as refused:
        connections.check_version(120_022)
    assert "13" in refused.value.hint


# Statements that a real server refuses in the ways that a load can meet.
REFUSED = {
    "23505": (
        "CREATE TABLE u (n int UNIQUE); INSERT INTO u VALUES (1), (1)",
        RowRefused,
    ),
    "P0001": ("DO $$ BEGIN RAISE EXCEPTION 'no'; END $$", RowRefused),
    "42501": ("SET ROLE nobody_special; CREATE TABLE public.t (a int)", PermissionDenied),
    "22003": ("SELECT 3000000000::integer", RowRefused),
    "22P02": ("SELECT 'x'::integer", RowRefused),
    "22008": ("SELECT '2020-02-30'::date", RowRefused),
    "54000": (
        "SELECT repeat(md5('a') || ' ' , 40000)::tsvector || array_to_tsvector("
        "ARRAY(SELECT md5(i::text) FROM generate_series(1, 40000) i))",
        RowRefused,
    ),
    "54011": (
        "DO $$ BEGIN EXECUTE (SELECT 'CREATE TABLE w (' || string_agg('c' || i || ' int', ',')"
        " || ')' FROM generate_series(1, 1601) i); END $$",
        RowRefused,
    ),
    "2BP01": (
        "CREATE TABLE a (n int); CREATE VIEW b AS SELECT * FROM a; DROP TABLE a",
        DependentObjects,
    ),
    "53400": (
        "SET temp_file_limit = 0; SET work_mem = 64;"
        "SELECT i FROM generate_series(1, 100000) i ORDER BY 1",
        DatabaseFull,
    ),
    "57P01": ("SELECT pg_terminate_backend(pg_backend_pid())", DatabaseUnreachable),
    "42601": ("SELEKT 1", DatabaseError),
}


@pytest.mark.parametrize(("state", "refused"), REFUSED.items(), ids=REFUSED)
def test_refusals_of_a_real_server(datastore_url, database, state, refused):
    statement, kind = refused
    database.execute(
        "DO $$ BEGIN CREATE ROLE nobody_special; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    with (
        closing(connections.connect(datastore_url, "test")) as connection,
        pytest.raises(DatabaseError) as failure,
        connections.ours("testing", with_rows=True),
    ):
        connection.execute(statement)
    assert failure.value.__cause__.sqlstate == state
    assert type(failure.value) is kind
    assert str(failure.value).startswith("testing: ")
    assert "\n" not in str(failure.value)
    assert failure.value.hint or kind is DatabaseError


def test_a_lock_that_is_not_to_be_had(datastore_url_18, database_18):
    database_18.execute("CREATE TABLE t (a int)")
    with (
        psycopg.connect(datastore_url_18) as holder,
        closing(connections.connect(datastore_url_18, "test")) as connection,
    ):
        holder.execute("LOCK TABLE t IN ACCESS SHARE MODE")
        connection.execute("SET lock_timeout = 10")
        with pytest.raises(TableBusy), connections.ours("testing"):
            connection.execute("DROP TABLE t")


def test_a_lost_connection(datastore_url_18, database_18):
    with closing(connections.connect(datastore_url_18, "test")) as connection:
        database_18.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))
        for _ in range(2):  # the second time libpq knows it already
            with pytest.raises(DatabaseUnreachable) as failure, connections.ours("testing"):
                connection.execute("SELECT 1")
            assert failure.value.retryable


def test_settings_of_the_database_do_not_matter(datastore_url_18, database_18, tmp_path):
    name = database_18.info.dbname
    for setting in (
        "datestyle = 'SQL, DMY'",
        "client_encoding = 'LATIN1'",
        "statement_timeout = 1",
        "lock_timeout = 1",
        "idle_in_transaction_session_timeout = '10s'",
        "idle_session_timeout = '10s'",
        "transaction_timeout = '10s'",
        "standard_conforming_strings = on",
        "search_path = pg_catalog",
    ):
        database_18.execute(f'ALTER DATABASE "{name}" SET {setting}')
    path = tmp_path / "t.csv"
    path.write_text("day,name\n2020-02-01,Łódź\n", encoding="utf-8")
    load(str(path), Options("t", datastore_url_18))
    assert database_18.execute("SELECT day::text, name FROM public.t").fetchall() == [
        ("2020-02-01", "Łódź")
    ]
    with closing(connections.connect(datastore_url_18, "test")) as connection:
        limits = connection.execute(
            "SELECT name, setting FROM pg_settings WHERE setting <> '0' AND name IN"
            " ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',"
            " 'idle_session_timeout', 'transaction_timeout')"
        )
        assert limits.fetchall() == []


def test_every_connection_says_what_it_is_for(datastore_url_18, database_18):
    with closing(connections.connect(datastore_url_18, "lane 1")):
        names = database_18.execute("SELECT application_name FROM pg_stat_activity").fetchall()
    assert ("aircan lane 1",) in names


def test_the_tree_of_database_errors_is_what_a_caller_may_catch():
    kinds = {kind for kind, _ in connections._BY_SQLSTATE.values()}
    assert all(issubclass(kind, errors.DatabaseError) for kind in kinds)


@pytest.fixture
def roles(database: psycopg.Connection):
    """CKAN's write role, which owns what CKAN has put into the database, and others who log in."""
    mark = uuid.uuid4().hex[:8]
    names = {name: f'{name} "{mark}"' for name in ("write", "member", "guest")}
    write, member, guest = map(psycopg.sql.Identifier, names.values())
    database.execute(
        psycopg.sql.SQL(
            "CREATE ROLE {0} LOGIN; CREATE ROLE {1} LOGIN NOINHERIT; CREATE ROLE {2} LOGIN;"
            " GRANT {0} TO {1}"
        ).format(write, member, guest)
    )
    install_ckan(database, names["write"])
    yield names
    for name in reversed(names.values()):
        identifier = psycopg.sql.Identifier(name)
        database.execute(
            psycopg.sql.SQL(
                "REASSIGN OWNED BY {0} TO postgres; DROP OWNED BY {0}; DROP ROLE {0}"
            ).format(identifier)
        )


def logged_in_as(url: str, role: str) -> str:
    return url.replace("postgres@", f"{quote(role, safe='')}@", 1)


@pytest.mark.parametrize("who", ["superuser", "member", "write"])
def test_whoever_loads_the_table_belongs_to_ckans_write_role(
    datastore_url, database, roles, tmp_path, who
):
    url = datastore_url if who == "superuser" else logged_in_as(datastore_url, roles[who])
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    for _ in range(2):
        load(str(path), Options("t", url))
        owners = database.execute(
            "SELECT DISTINCT relowner::regrole::text FROM pg_class"
            " WHERE relname IN ('t', 't__id_seq', 't_pkey')"
        ).fetchall()
        assert owners == [(psycopg.sql.Identifier(roles["write"]).as_string(None),)]


def test_the_lanes_of_a_load_by_a_superuser_are_watched(
    datastore_url, database, roles, monkeypatch
):
    """Acting as the write role, a superuser would not be shown what its own sessions do."""
    monkeypatch.setattr(lanes, "WATCH_EVERY_S", 0.0)

    def blocks():
        yield b"1,a\n"
        wait_for(database, "query LIKE 'COPY%'")
        yield b"2,b\n"
        yield b"3,c\n"

    def as_they_are(share: Iterator[bytes]) -> Iterator[list[bytes]]:
        return ([block] for block in share)

    names = relation.name("t")
    with (
        closing(connections.connect(datastore_url, "load")) as connection,
        closing(connections.connect(datastore_url, "lane")) as lane,
    ):
        shadow.create(relation.Relation(connection, names), [Column("a", "text")], None)
        statement = lanes.statement(names.shadow, ["a"], ",")
        assert lanes.copy(blocks(), as_they_are, [lane], statement, connection) == 3
        as_before = connection.execute("SELECT current_user").fetchone()
    assert as_before == (roles["write"],)


def test_who_may_not_become_the_write_role_stays_who_he_is(datastore_url, roles):
    url = logged_in_as(datastore_url, roles["guest"])
    with closing(connections.connect(url, "test")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (roles["guest"],)


def test_a_member_that_may_not_become_the_write_role(datastore_url_18, database_18):
    """From PostgreSQL 16 on, to belong to a role and to become it are two things."""
    mark = uuid.uuid4().hex[:8]
    database_18.execute(
        f"CREATE ROLE write{mark}; CREATE ROLE member{mark} LOGIN;"
        f" GRANT write{mark} TO member{mark} WITH SET FALSE"
    )
    install_ckan(database_18, f"write{mark}")
    url = logged_in_as(datastore_url_18, f"member{mark}")
    with closing(connections.connect(url, "test")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (f"member{mark}",)
    database_18.execute(
        f"REASSIGN OWNED BY write{mark} TO postgres; DROP OWNED BY write{mark};"
        f" DROP ROLE write{mark}, member{mark}"
    )


def changing(url: str, folder: Path, old: bytes, new: bytes) -> str:
    """Return a URL of a server in front of a real one, that changes what it is told."""
    assert len(old) == len(new)
    place = conninfo_to_dict(url)
    front = socket.create_server(str(folder / ".s.PGSQL.5432"), family=socket.AF_UNIX)

    def pass_on(source: socket.socket, to: socket.socket, old: bytes, new: bytes) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                to.sendall(data.replace(old, new))
            to.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client = front.accept()[0]
                back = socket.socket(socket.AF_UNIX)
                back.connect(f"{place['host']}/.s.PGSQL.{place['port']}")
                for way in ((client, back, old, new), (back, client, b"", b"")):
                    threading.Thread(target=pass_on, args=way, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return url.replace(quote(place["host"]), quote(str(folder)))


INTERVAL = b"client_connection_check_interval"
# What the server is told instead, and what it thinks of it.
REFUSED_SETTINGS = {
    "not known": (INTERVAL, b"client_connection_check_intervaX", "42704"),
    "not possible": (INTERVAL + b" = '1s'", INTERVAL + b" = '1x'", "22023"),
    "not to be changed": (b"idle_session_timeout", b"block_size          ", "55P02"),
    "not understood": (b"SET client_min_messages", b"SAT client_min_messages", "42601"),
    "forbidden": (INTERVAL, b"session_preload_libraries       ", "42501"),
}


@pytest.mark.parametrize(("old", "new", "state"), REFUSED_SETTINGS.values(), ids=REFUSED_SETTINGS)
def test_a_server_may_refuse_a_setting_that_is_not_needed(
    guarded, tmp_path, old: bytes, new: bytes, state: str
):
    url = as_writer(guarded, PASSWORD)
    setting = new.decode() if b"=" in new else f"{new.decode()} = '0'"
    with (
        closing(psycopg.connect(url)) as connection,
        pytest.raises(psycopg.Error) as refused,
    ):
        connection.execute(setting if setting.startswith("SAT") else f"SET {setting}")
    assert refused.value.sqlstate == state
    with closing(connections.connect(changing(url, tmp_path, old, new), "test")) as connection:
        for name, value in (("statement_timeout", "0"), ("DateStyle", "ISO, YMD")):
            assert connection.execute(f"SHOW {name}").fetchone() == (value,)


def test_a_server_that_refuses_what_is_needed_is_told_apart_from_a_file(guarded, tmp_path):
    url = changing(as_writer(guarded, PASSWORD), tmp_path, b"'ISO, YMD'", b"'IXO, YMD'")
    with pytest.raises(DatabaseError, match="the setting datestyle: invalid value") as refused:
        connections.connect(url, "test")
    assert type(refused.value) is DatabaseError
    assert "22023" in str(refused.value)


def test_a_value_of_the_loaders_own_is_not_the_files(datastore_url_18):
    with (
        closing(connections.connect(datastore_url_18, "test")) as connection,
        pytest.raises(DatabaseError) as refused,
        connections.ours("testing"),
    ):
        connection.execute("SELECT 'x'::integer")
    assert type(refused.value) is DatabaseError
    assert "report" not in f"{refused.value} {refused.value.hint}"
