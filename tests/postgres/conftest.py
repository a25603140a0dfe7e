"""Real databases for the tests: PostgreSQL 18 and 16 from the wheel, an empty database each time.

A test that asks for `datastore_url` or `database` runs on both; one that asks for
`datastore_url_18` or `database_18` runs once. `data_folder` holds an embedded PostgreSQL
of the test's own, `empty_data_folder` for a test of how it is made.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from databases import Databases
from processes import is_running
from servers import UNSAFE

from loader.copy import database as database_module
from loader.embedded import server as embedded


def _databases(servers: Path, version: int) -> Databases:
    cluster = embedded.Cluster(servers / f"postgres-{version}", version, UNSAFE)
    cluster.start()
    return Databases(cluster.folder)


@pytest.fixture(scope="session")
def databases_18(servers: Path) -> Databases:
    return _databases(servers, 18)


@pytest.fixture(scope="session")
def databases_16(servers: Path) -> Databases:
    return _databases(servers, 16)


@pytest.fixture
def lent_18(databases_18: Databases) -> Iterator[str]:
    yield databases_18.lend()
    databases_18.take_back()


@pytest.fixture
def lent_16(databases_16: Databases) -> Iterator[str]:
    yield databases_16.lend()
    databases_16.take_back()


@pytest.fixture(params=[18, 16], ids=["pg18", "pg16"])
def datastore_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database; the test runs on PostgreSQL 18 and on 16."""
    return request.getfixturevalue(f"lent_{request.param}")


@pytest.fixture
def datastore_url_18(lent_18: str) -> str:
    """The URL of an empty database on PostgreSQL 18."""
    return lent_18


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
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not let a load in is tried for half a second, not for five."""
    monkeypatch.setattr(database_module, "GIVE_UP_AFTER_S", 0.6)


@pytest.fixture
def empty_data_folder(servers: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty AIRCAN_DATA; a server that the test leaves running in it is ended."""
    folder = servers / uuid.uuid4().hex[:8]
    folder.mkdir(mode=0o755)
    monkeypatch.setenv("AIRCAN_DATA", str(folder))
    yield folder
    # Not stopped as a user would: the last checkpoint of a stop takes seconds on a busy disk.
    for pid_file in folder.rglob("postmaster.pid"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it is just ending by itself
            pid = int(pid_file.read_text().split()[0])
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
