"""Services for the tests that several folders ask for.

A test that asks for `portal` runs on a real CKAN 2.12 and on 2.11, one that asks for `portal_212`
on the newer only; `airflow` is a real Airflow with the DAGs of the project. Each of them starts
once in a test run, when a test first asks for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import emulator as emulators
import hypothesis
import pytest
from portal import Portal
from servers import REAPER, SERVERS
from standalone import DAGS, TEST_DAGS, Airflow
from xdist.scheduler import LoadScopeScheduling

# Ctrl-C is ignored in what a script runs in the background, and so it would be in the processes
# that these tests start and stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no reason to fail a property. Of Hypothesis' own number of examples half are
# tried, where a test does not say how many.
hypothesis.settings.register_profile("every case", deadline=None)
hypothesis.settings.register_profile("aircan", deadline=None, max_examples=50)

AIRFLOW_RUN_TIMEOUT_S = 180.0

# Where several processes run the tests, these are not divided: each of them has services that take
# a while to start.
SHARING = {
    "airflow": "airflow",
    "ckan/test_damaged.py": "runs",
    "ckan/test_ending.py": "runs",
    "ckan/test_selection.py": "runs",
    "ckan/test_own_ckan.py": "runs",
    "ckan/test_tasks.py": "runs",
    "ckan/test_told_to_own_ckan.py": "runs",
    "extension/test_actions.py": "jobs",
    "extension/test_changes.py": "jobs",
    "extension/test_jobs.py": "jobs",
    "extension": "pages",
}

# These take longest, and begin first: the last one to end is then a short one.
LONGEST = [
    "postgres/test_locks.py",
    "postgres/test_concurrent_writes.py",
    "postgres/test_cli.py",
    "postgres/test_fulltext.py",
    "postgres/test_limits.py",
    "postgres/test_load.py",
    "postgres/test_failures.py",
    "postgres/test_names.py",
    "postgres/test_benchmarks.py",
    "ckan/test_tasks.py",
]


def _file(nodeid: str) -> str:
    """Return the file of a test, as it is named here."""
    file = Path(nodeid.partition("::")[0])
    return f"{file.parent.name}/{file.name}"


class ByServices(LoadScopeScheduling):
    """Gives each process whole files, or several that share services."""

    def _split_scope(self, nodeid: str) -> str:
        file = _file(nodeid)
        names = file, file.partition("/")[0]
        return next((SHARING[name] for name in names if name in SHARING), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByServices:
    """Tell pytest-xdist which tests belong together."""
    return ByServices(config, log)


# A fixture that is there in two versions, and its older one.
OLDER = {
    "datastore_url": 16,
    "vacuumed_url": 16,
    "portal": "portal_211",
    "factory_portal": "factory_portal_211",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer what takes twice as long."""
    parser.addoption(
        "--every-case", action="store_true", help="run all cases on the older PostgreSQL and CKAN"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say how many examples of a property are tried."""
    hypothesis.settings.load_profile("every case" if config.getoption("every_case") else "aircan")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest; leave out what would show the same twice.

    Each test runs on the older PostgreSQL and CKAN with its first case only, if it has several:
    what the cases differ by is the data; how the versions differ shows in each of them.
    """
    order = {file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(_file(item.nodeid), len(order)))
    if config.getoption("every_case"):
        return
    seen = set()
    kept = []
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if any(params.get(name) == older for name, older in OLDER.items()):
            test = item.nodeid.partition("[")[0]
            if test in seen:
                continue
            seen.add(test)
        kept.append(item)
    items[:] = kept


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
