"""One real Airflow, which starts once in a test run, when a test first asks for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from factory import DAGS, TEST_DAGS, Airflow
from gcp_storage_emulator.server import create_server

TIMEOUT_S = 180.0  # of a run


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The address of a storage emulator with the bucket "bucket"."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


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
        "AIRCAN_MAX_LOADS": "8",
        "AIRCAN_RETRY_DELAY_S": "1",
        "AIRCAN_TIMEOUT_HOURS": str(TIMEOUT_S / 3600),
        "STORAGE_EMULATOR_HOST": bucket,
    }
    airflow = Airflow(servers / "airflow", (DAGS, TEST_DAGS), environment)
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()
