"""One real Airflow, which starts once in a test run, when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from factory import DAGS, TEST_DAGS, Airflow


@pytest.fixture(scope="session")
def airflow(servers: Path) -> Iterator[Airflow]:
    """Airflow with the DAGs of the project and of the tests; it may fetch from this machine."""
    artifacts = servers / "artifacts"
    artifacts.mkdir()
    environment = {"AIRCAN_ARTIFACTS": str(artifacts), "AIRCAN_ALLOWED_HOSTS": "127.0.0.1"}
    airflow = Airflow(servers / "airflow", (DAGS, TEST_DAGS), environment)
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()
