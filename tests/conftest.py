"""Real databases for the tests: PostgreSQL 18 and 16 from the wheel, a fresh database each time.

A test that asks for `datastore_url` or `database` runs on both; one that asks for
`datastore_url_18` or `database_18` runs once. `data_folder` holds an embedded PostgreSQL
of the test's own, `empty_data_folder` for a test of how it is made.

A test that asks for `portal` runs on a real CKAN 2.12 and on 2.11, one that asks for `portal_212`
on the newer only; `airflow` is a real Airflow with the DAGs of the project. Each of them starts
once in a test run, when a test first asks for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import emulator as emulators
import hypothesis
import psycopg
import pytest
from portal import Portal
from processes import is_running
from pytest_postgresql import factories
from standalone import DAGS, TEST_DAGS, Airflow
from xdist.scheduler import LoadScopeScheduling

from loader.embedded import server as embedded

# Ctrl-C is ignored in what a script runs in the background, and so it would be in the processes
# that these tests start and stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no reason to fail a property.
hypothesis.settings.register_profile("aircan", deadline=None)
hypothesis.settings.load_profile("aircan")

# Short, for the socket's path, and outside pytest's folders, which only their owner may enter:
# as root the servers run as another user.
SERVERS = Path("/tmp") / f"aircan-tests-{uuid.uuid4().hex[:8]}"

AIRFLOW_RUN_TIMEOUT_S = 180.0

# What is in these databases need not survive a power failure.
UNSAFE = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")

# Waits for the end of the test run, however it ends (its standard input closes), and then ends
# every server below the folder and removes the folder.
REAPER = """
read -r _
for file in $(find "$1" -name postmaster.pid); do
    pid=$(head -n 1 "$file")
    kill -QUIT "$pid"
    for _ in $(seq 100); do [ -e "$file" ] && sleep 0.05 || break; done
done
rm -rf "$1"
"""


# Where several processes run the tests, these are not divided: each of them has services that take
# a while to start.
SHARING = {
    "airflow": "airflow",
    "ckan": "ckan",
    "extension/test_actions.py": "jobs",
    "extension/test_changes.py": "jobs",
    "extension/test_jobs.py": "jobs",
    "extension": "pages",
}


class ByServices(LoadScopeScheduling):
    """Gives each process whole files, or several that share services."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        names = f"{file.parent.name}/{file.name}", file.parent.name
        return next((SHARING[name] for name in names if name in SHARING), str(file))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByServices:
    """Tell pytest-xdist which tests belong together."""
    return ByServices(config, log)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Path:
    """The folder of all servers of this run, which are gone when it ends."""
    SERVERS.mkdir(mode=0o755)
    reaper = subprocess.Popen(
        ["/bin/sh", "-c", REAPER, "sh", str(SERVERS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    pytestconfig.add_cleanup(lambda: reaper.communicate(timeout=60))
    return SERVERS


def _noproc(version: int):
    return factories.postgresql_noproc(
        host=str(SERVERS / f"postgres-{version}"), port=5432, user="postgres", dbname="test"
    )


noproc_18 = _noproc(18)
noproc_16 = _noproc(16)


@pytest.fixture(scope="session")
def server_18(servers: Path, request: pytest.FixtureRequest):
    embedded.Cluster(servers / "postgres-18", 18, UNSAFE).start()
    return request.getfixturevalue("noproc_18")


@pytest.fixture(scope="session")
def server_16(servers: Path, request: pytest.FixtureRequest):
    embedded.Cluster(servers / "postgres-16", 16, UNSAFE).start()
    return request.getfixturevalue("noproc_16")


postgresql_18 = factories.postgresql("server_18")
postgresql_16 = factories.postgresql("server_16")


def _url(connection: psycopg.Connection) -> str:
    info = connection.info
    return f"postgresql://{info.user}@/{info.dbname}?host={quote(info.host)}&port={info.port}"


@pytest.fixture(params=[18, 16], ids=["pg18", "pg16"])
def datastore_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database; the test runs on PostgreSQL 18 and on 16."""
    return _url(request.getfixturevalue(f"postgresql_{request.param}"))


@pytest.fixture
def datastore_url_18(postgresql_18: psycopg.Connection) -> str:
    """The URL of an empty database on PostgreSQL 18."""
    return _url(postgresql_18)


@pytest.fixture
def database(datastore_url: str) -> Iterator[psycopg.Connection]:
    """A connection to the database of `datastore_url`, every statement committed."""
    with psycopg.connect(datastore_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def database_18(datastore_url_18: str) -> Iterator[psycopg.Connection]:
    """A connection to the database of `datastore_url_18`, every statement committed."""
    with psycopg.connect(datastore_url_18, autocommit=True) as connection:
        yield connection


@pytest.fixture
def empty_data_folder(servers: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty AIRCAN_DATA; a server that the test leaves running in it is ended."""
    folder = servers / uuid.uuid4().hex[:8]
    folder.mkdir(mode=0o755)
    monkeypatch.setenv("AIRCAN_DATA", str(folder))
    yield folder
    # Not stopped as a user would: the last checkpoint of a stop takes seconds on a busy disk.
    for pid_file in folder.rglob("postmaster.pid"):
        pid = int(pid_file.read_text().split()[0])
        if is_running(pid):
            os.kill(pid, signal.SIGQUIT)
        while is_running(pid):
            time.sleep(0.01)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def made_cluster(servers: Path) -> Path:
    """An embedded PostgreSQL as the first start leaves it, stopped."""
    cluster = embedded.Cluster(servers / "made" / "postgres-18")
    cluster.start()
    cluster.stop()
    return cluster.folder


@pytest.fixture
def data_folder(empty_data_folder: Path, made_cluster: Path) -> Path:
    """An AIRCAN_DATA where the embedded PostgreSQL was made already, which takes a second."""
    subprocess.run(["cp", "-a", made_cluster, empty_data_folder], check=True)
    return empty_data_folder


def _running(version: str, folder: Path) -> Iterator[Portal]:
    """Real portals: CKAN 2.12 with PostgreSQL 18, CKAN 2.11 with PostgreSQL 16."""
    portal = Portal(version, folder)
    try:
        portal.start()
        yield portal
    finally:
        portal.stop()


@pytest.fixture(scope="session")
def portal_212(servers: Path) -> Iterator[Portal]:
    """CKAN 2.12."""
    yield from _running("2.12.0", servers / "ckan-2.12")


@pytest.fixture(scope="session")
def portal_211(servers: Path) -> Iterator[Portal]:
    """CKAN 2.11."""
    yield from _running("2.11.5", servers / "ckan-2.11")


@pytest.fixture(
    scope="session", params=["portal_212", "portal_211"], ids=["ckan-2.12", "ckan-2.11"]
)
def portal(request: pytest.FixtureRequest) -> Portal:
    """Each CKAN in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def emulator() -> Iterator[int]:
    """The port of a storage emulator with the bucket "bucket"."""
    with emulators.running() as port:
        yield port


@pytest.fixture(scope="session")
def bucket(emulator: int) -> str:
    """The address of a storage emulator with the bucket "bucket"."""
    return f"http://127.0.0.1:{emulator}"


@pytest.fixture(scope="session")
def artifacts(servers: Path) -> Path:
    """Where the DAGs leave their artifacts."""
    folder = servers / "artifacts"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def airflow(servers: Path, artifacts: Path, bucket: str) -> Iterator[Airflow]:
    """Airflow with the DAGs of the project and of the tests; it may fetch from this machine."""
    environment = {
        "AIRCAN_ARTIFACTS": str(artifacts),
        "AIRCAN_ALLOWED_HOSTS": "127.0.0.1",
        "AIRCAN_LARGE_POOL": "large",
        "AIRCAN_LARGE_QUEUE": "large",
        "AIRCAN_MAX_LOADS": "8",
        "AIRCAN_RETRY_DELAY_S": "1",
        "AIRCAN_TIMEOUT_HOURS": str(AIRFLOW_RUN_TIMEOUT_S / 3600),
        "STORAGE_EMULATOR_HOST": bucket,
    }
    airflow = Airflow(servers / "airflow", (DAGS, TEST_DAGS), environment)
    try:
        airflow.start()
        airflow.request("POST", "pools", json={"name": "large", "slots": 4})
        yield airflow
    finally:
        airflow.stop()


@pytest.fixture(autouse=True)
def only_the_tests_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings and the data of whoever runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith(("AIRCAN_", "PG")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AIRCAN_DATA", "/nonexistent/aircan")
