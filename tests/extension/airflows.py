"""Real Airflows that ask for a user and a password: Airflow 3, and Airflow 2 for REST API v1.

Airflow 2 comes from an environment of its own, which `make test-extension` makes: `.airflow2`, or
the folder that AIRCAN_TEST_AIRFLOW2 names.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests
import standalone

from loader.embedded import server as embedded

DAGS = Path(__file__).with_name("dags")
ENVIRONMENT_2 = Path(
    os.environ.get("AIRCAN_TEST_AIRFLOW2") or standalone.CHECKOUT / ".airflow2"
).absolute()
DAG_IDS = {"quick", "sleeping", "failing"}
VIEWER = "viewer"  # may look, and begin nothing
TOKEN_S = 10  # how long a token of Airflow 3 is good


class Airflow3(standalone.Airflow):
    """Airflow 3 with the users of its simple auth manager, and tokens that soon expire."""

    user, password = "admin", "correct horse"

    def __init__(self, folder: Path) -> None:
        passwords = folder.with_name(f"{folder.name}-passwords.json")
        passwords.write_text(
            json.dumps({self.user: self.password, VIEWER: self.password}), encoding="utf-8"
        )
        settings = {
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "false",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{self.user}:admin,{VIEWER}:viewer",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "API_AUTH__JWT_EXPIRATION_TIME": str(TOKEN_S),
            "API_AUTH__JWT_LEEWAY": "0",
        }
        environment = {f"AIRFLOW__{name}": value for name, value in settings.items()}
        super().__init__(folder, (DAGS,), environment)

    def token(self) -> str:
        """A new token of the user."""
        user = {"username": self.user, "password": self.password}
        answer = requests.post(f"{self.url}/auth/token", json=user, timeout=60)
        answer.raise_for_status()
        return answer.json()["access_token"]

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Call the REST API with a token that is still good."""
        self._http.headers["Authorization"] = f"Bearer {self.token()}"
        return super().request(method, path, **options)

    def _missing(self) -> str:
        try:
            self._http.headers["Authorization"] = f"Bearer {self.token()}"
        except requests.RequestException as error:
            return f"no API: {error}"
        return super()._missing()


class Airflow2:
    """Airflow 2: web server, triggerer, scheduler with its workers, on a PostgreSQL of its own."""

    user = "admin"

    def __init__(self, folder: Path) -> None:
        if not (ENVIRONMENT_2 / "bin" / "airflow").exists():
            raise FileNotFoundError(
                f"Airflow 2 is not in {ENVIRONMENT_2}: `make test-extension` installs it there"
            )
        self.folder = folder
        self.port, *self._other_ports = standalone._free_ports(4)
        self.url = f"http://127.0.0.1:{self.port}"
        self._cluster = embedded.Cluster(folder / "pg", 18, standalone.UNSAFE)
        self._service: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o755)

    def start(self) -> None:
        """Bring everything up, until the DAGs are there."""
        environment = self._settings(self._cluster.start())
        airflow = ENVIRONMENT_2 / "bin" / "airflow"
        command = [sys.executable, "-c", standalone.KEEPER, airflow, "standalone"]
        self._log = self.folder / "airflow.log"
        with self._log.open("wb") as log:
            self._service = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )
        end = time.monotonic() + standalone.START_TIMEOUT_S
        while missing := self._missing():
            if self._service.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    f"Airflow 2: {missing}\n{standalone._tail(self._log.read_text())}"
                )
            time.sleep(standalone.POLL_S)

    def stop(self) -> None:
        """End every process of it but for PostgreSQL, which ends with the test run."""
        if self._service and self._service.stdin:
            self._service.stdin.close()
            self._service.wait(timeout=60)

    @property
    def password(self) -> str:
        """What it has made up for its user."""
        return (self.folder / "standalone_admin_password.txt").read_text(encoding="utf-8").strip()

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Call the REST API."""
        url, user = f"{self.url}/api/v1/{path}", (self.user, self.password)
        answer = requests.request(method, url, auth=user, timeout=60, **options)
        answer.raise_for_status()
        return answer.json()

    def _missing(self) -> str:
        try:
            health = requests.get(f"{self.url}/health", timeout=60).json()
            known = {dag["dag_id"] for dag in self.request("GET", "dags")["dags"]}
        except (FileNotFoundError, requests.RequestException) as error:
            return f"no API: {error}"
        if health["scheduler"]["status"] != "healthy":
            return "no scheduler"
        return f"no DAGs: {DAG_IDS - known}" if DAG_IDS - known else ""

    def _settings(self, database_url: str) -> dict[str, str]:
        worker_logs, trigger_logs, health = map(str, self._other_ports)
        settings = {
            "API__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
            "CORE__DAGS_FOLDER": str(DAGS),
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__LOAD_EXAMPLES": "false",
            "CORE__PARALLELISM": "4",
            "DATABASE__SQL_ALCHEMY_CONN": database_url,
            "LOGGING__TRIGGER_LOG_SERVER_PORT": trigger_logs,
            "LOGGING__WORKER_LOG_SERVER_PORT": worker_logs,
            "SCHEDULER__JOB_HEARTBEAT_SEC": "1",
            "SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": health,
            "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "WEBSERVER__SECRET_KEY": secrets.token_urlsafe(32),
            "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "WEBSERVER__WEB_SERVER_PORT": str(self.port),
            "WEBSERVER__WORKERS": "2",
        }
        return {
            **standalone._outer_environment(),
            "PATH": f"{ENVIRONMENT_2 / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.folder),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        }
