"""One real Airflow for the tests: `airflow standalone` on a PostgreSQL of its own.

Airflow comes from an environment of its own, which `make test-airflow` makes: `.airflow`, or the
folder that AIRCAN_TEST_AIRFLOW names. All that it writes is below its folder, and all of its
processes end with this one, however it ends.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from psycopg.conninfo import conninfo_to_dict

from loader.embedded import server as embedded

CHECKOUT = Path(__file__).resolve().parents[2]
ENVIRONMENT = Path(os.environ.get("AIRCAN_TEST_AIRFLOW") or CHECKOUT / ".airflow").absolute()
DAGS = CHECKOUT / "dags"
# To try this Airflow with.
TEST_DAGS = CHECKOUT / "tests" / "airflow" / "dags"

# What is in this database need not survive a power failure.
UNSAFE = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")

START_TIMEOUT_S = 400
RUN_TIMEOUT_S = 180
REQUEST_TIMEOUT_S = 60
POLL_S = 0.2
# Of the lists that the REST API gives.
MAX_PAGE = 1000
# Of a log, in the message of a failed test.
TAIL_LINES, TAIL_COLUMNS = 40, 400

# Runs a command until it ends, or until the keeper's own standard input closes, which it does when
# the process that started it ends, killed or not. Then all of the session dies: Airflow gives each
# task a process group of its own, and does not end them when it is killed itself.
KEEPER = """
import os, select, subprocess, sys, psutil

def others():
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and os.getsid(process.pid) == os.getsid(0):
                if process.status() != psutil.STATUS_ZOMBIE:
                    yield process
        except (ProcessLookupError, PermissionError, psutil.Error):
            pass

service = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
while service.poll() is None and not select.select([sys.stdin], [], [], 0.2)[0]:
    pass
while found := list(others()):
    for process in found:
        process.kill()
    psutil.wait_procs(found, timeout=5)
"""


class Refused(Exception):
    """Airflow did not do what a request asked for.

    Args:
        status: The HTTP status.
        body: What Airflow said.
    """

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class Airflow:
    """A running Airflow: API server, scheduler with its workers, DAG processor and triggerer.

    Args:
        folder: Where all of it is kept; made here.
        dags: The folders of its DAGs; in them, each file is one that does not begin with "_".
        environment: What its tasks find in theirs, such as AIRCAN_ARTIFACTS, or a Connection's
            URI as AIRFLOW_CONN_<ID>; also settings of Airflow's own.
        port: Of its web server; by default a free one.
    """

    def __init__(
        self,
        folder: Path,
        dags: Iterable[Path] = (DAGS,),
        environment: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        if not (ENVIRONMENT / "bin" / "airflow").exists():
            raise FileNotFoundError(
                f"Airflow is not in {ENVIRONMENT}: `make test-airflow` installs it there"
            )
        self.folder = folder
        self.dags = tuple(one for one in dags if one.is_dir())
        self.environment = dict(environment or {})
        free, worker_logs, trigger_logs = _free_ports(3)
        self.port = port or free
        self.url = f"http://127.0.0.1:{self.port}"
        self._log_ports = worker_logs, trigger_logs
        self._http = requests.Session()
        self.cluster = embedded.Cluster(folder / "pg", 18, UNSAFE)
        self._service: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o755)

    def start(self) -> None:
        """Bring everything up, until the DAGs are there: about half a minute."""
        self._log = self.folder / "airflow.log"
        self.database_url = self.cluster.start()
        environment = self._settings(self.database_url)
        with self._log.open("wb") as log:
            self._service = subprocess.Popen(
                [sys.executable, "-c", KEEPER, ENVIRONMENT / "bin" / "airflow", "standalone"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )
        end = time.monotonic() + START_TIMEOUT_S
        while missing := self._missing():
            if self._service.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Airflow: {missing}\n{_tail(self._log.read_text())}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End every process of it but for PostgreSQL, which ends with the test run."""
        if self._service and self._service.stdin:
            self._service.stdin.close()
            self._service.wait(timeout=60)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Call Airflow's REST API as its admin.

        Returns:
            What it answers.

        Raises:
            Refused: It answered with an error.
        """
        url = f"{self.url}/api/v2/{path}"
        answer = self._http.request(method, url, timeout=REQUEST_TIMEOUT_S, **options)
        try:
            body = answer.json() if answer.content else None
        except ValueError:
            body = answer.text
        if not answer.ok:
            raise Refused(answer.status_code, body)
        return body

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a DagRun; return its id. `Refused` carries what Airflow says of a wrong conf."""
        body = {"logical_date": None, "conf": conf or {}}
        return self.request("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"]

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a DagRun and wait for its success; return its id."""
        run_id = self.trigger(dag_id, conf)
        self.wait_success(dag_id, run_id)
        return run_id

    def state(self, dag_id: str, run_id: str) -> str:
        """The state of a DagRun."""
        return self.request("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"]

    def wait(
        self,
        dag_id: str,
        run_id: str,
        timeout_s: float = RUN_TIMEOUT_S,
        states: Sequence[str] = ("success", "failed"),
    ) -> str:
        """Wait until a DagRun has ended, or is in one of the states; return its state."""
        end = time.monotonic() + timeout_s
        while (state := self.state(dag_id, run_id)) not in states:
            if time.monotonic() > end:
                raise TimeoutError(self.describe(dag_id, run_id))
            time.sleep(POLL_S)
        return state

    def wait_success(self, dag_id: str, run_id: str, timeout_s: float = RUN_TIMEOUT_S) -> None:
        """Wait until a DagRun has ended; fail with what its tasks say unless it succeeded."""
        state = self.wait(dag_id, run_id, timeout_s)
        assert state == "success", self.describe(dag_id, run_id)

    def describe(self, dag_id: str, run_id: str) -> str:
        """The states of a DagRun and of its tasks, with the tails of their logs if they failed."""
        lines = [f"{dag_id} {run_id}: {self.state(dag_id, run_id)}"]
        for task in self.tasks(dag_id, run_id):
            place = task["task_id"], task["map_index"]
            lines.append(f"{place}: {task['state']}, try {task['try_number']}")
            if task["state"] in ("failed", "up_for_retry", "running"):
                lines.append(_tail(self.log(dag_id, run_id, *place)))
        return "\n".join(lines)

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a DagRun, as Airflow shows them: task_id, map_index, state,
        try_number, rendered_fields and more.
        """
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return self._all(path, "task_instances")

    def task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """One task instance of a DagRun."""
        return self.request("GET", _task(dag_id, run_id, task_id, map_index))

    def log(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        map_index: int = -1,
        try_number: int | None = None,
    ) -> str:
        """The log of a task, by default of its last try: one record a line, with all its fields."""
        if try_number is None:
            try_number = self.task(dag_id, run_id, task_id, map_index)["try_number"]
        body = self.request(
            "GET",
            f"{_task(dag_id, run_id, task_id)}/logs/{try_number}",
            params={"map_index": map_index, "full_content": True},
            headers={"Accept": "application/json"},
        )
        return "\n".join(map(_line, body["content"]))

    def xcoms(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """What the tasks of a DagRun handed over: task_id, map_index, key, value and more."""
        entries = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/%s/xcomEntries"
        return [
            self.request(
                "GET",
                f"{entries % one['task_id']}/{one['key']}",
                params={"map_index": one["map_index"]},
            )
            for one in self._all(entries % "~", "xcom_entries")
        ]

    def clear(
        self, dag_id: str, run_id: str, task_ids: Sequence[str], *, downstream: bool = False
    ) -> None:
        """Clear tasks of a DagRun, as somebody does in the UI, so that they run again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "only_failed": False,
            "include_downstream": downstream,
        }
        cleared = self.request("POST", f"dags/{dag_id}/clearTaskInstances", json=body)
        assert cleared["total_entries"], f"{dag_id} {run_id}: nothing to clear in {task_ids}"

    def clear_run(self, dag_id: str, run_id: str) -> None:
        """Clear a whole DagRun, so that it runs again."""
        body = {"dry_run": False, "only_failed": False}
        self.request("POST", f"dags/{dag_id}/dagRuns/{run_id}/clear", json=body)

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a DagRun "failed" or "success", as somebody does in the UI."""
        path = f"dags/{dag_id}/dagRuns/{run_id}"
        for _ in range(2):
            # Airflow 3.3 stumbles where its scheduler begins a task at this moment.
            with suppress(Refused):
                self.request("PATCH", path, json={"state": state})
                return
            time.sleep(POLL_S)
        self.request("PATCH", path, json={"state": state})

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause a DAG, or go on with it; at first all of them go."""
        self.request("PATCH", f"dags/{dag_id}", json={"is_paused": paused})

    def add_connection(self, connection_id: str, conn_type: str, **fields: Any) -> None:
        """Add an Airflow Connection; its fields are host, login, password, port, schema, extra."""
        body = {"connection_id": connection_id, "conn_type": conn_type, **fields}
        self.request("POST", "connections", json=body)

    def add_database(self, connection_id: str, url: str) -> None:
        """Add an Airflow Connection of a PostgreSQL by its libpq URL."""
        place = conninfo_to_dict(url)
        self.add_connection(
            connection_id,
            "postgres",
            host=place["host"],
            port=int(place["port"]),
            login=place["user"],
            password=place["password"],
            schema=place["dbname"],
        )

    def dag_ids(self) -> set[str]:
        """The DAGs that Airflow found."""
        return {dag["dag_id"] for dag in self._all("dags", "dags")}

    def import_errors(self) -> dict[Path, str]:
        """What is wrong with DAG files."""
        folders = dict(zip(self._bundles, self.dags, strict=True))
        return {
            folders[one["bundle_name"]] / one["filename"]: one["stack_trace"]
            for one in self._all("importErrors", "import_errors")
        }

    def _all(self, path: str, name: str) -> list[dict[str, Any]]:
        body = self.request("GET", path, params={"limit": MAX_PAGE})
        assert body["total_entries"] == len(body[name]), f"{path}: more than {MAX_PAGE}"
        return body[name]

    def _missing(self) -> str:
        """What Airflow still lacks; empty when it is up and knows its DAGs."""
        try:
            if "Authorization" not in self._http.headers:
                token = self._http.get(f"{self.url}/auth/token", timeout=REQUEST_TIMEOUT_S)
                token.raise_for_status()
                self._http.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
            health = self.request("GET", "monitor/health")
        except (requests.RequestException, Refused) as error:
            return f"no API: {error}"
        sick = [name for name, part in health.items() if (part or {}).get("status") != "healthy"]
        if sick:
            return f"not healthy: {', '.join(sick)}"
        files = {file for folder in self.dags for file in dag_files(folder)}
        parsed = {Path(dag["fileloc"]) for dag in self._all("dags", "dags")}
        lacking = files - parsed - self.import_errors().keys()
        return f"not parsed: {', '.join(map(str, lacking))}" if lacking else ""

    @property
    def _bundles(self) -> list[str]:
        """The names by which Airflow calls the folders of the DAGs."""
        return [f"{folder.parent.name}-{folder.name}" for folder in self.dags]

    def _settings(self, database_url: str) -> dict[str, str]:
        """Return the environment of Airflow's processes."""
        # AirCan brings psycopg along, which also does for what Airflow does asynchronously.
        database = database_url.replace("postgresql://", "postgresql+psycopg://")
        bundles = [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder)},
            }
            for name, folder in zip(self._bundles, self.dags, strict=True)
        ]
        settings = {
            "CORE__LOAD_EXAMPLES": "false",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__PARALLELISM": "8",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",
            "DATABASE__SQL_ALCHEMY_CONN": database,
            "DATABASE__SQL_ALCHEMY_CONN_ASYNC": database,
            "API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__MAXIMUM_PAGE_LIMIT": str(MAX_PAGE),
            "LOGGING__WORKER_LOG_SERVER_PORT": str(self._log_ports[0]),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": str(self._log_ports[1]),
            "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            # The files do not change while tests run.
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            # The API server takes its time over the first request of the first task.
            "WORKERS__EXECUTION_API_TIMEOUT": "60",
            "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        }
        return {
            **_outer_environment(),
            "PATH": f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.folder),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            **self.environment,
        }


def dag_files(folder: Path) -> list[Path]:
    """Return the files of a folder that hold DAGs."""
    return sorted(folder.glob("[!_]*.py"))


def _task(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    place = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
    return place if map_index < 0 else f"{place}/{map_index}"


def _line(record: Any) -> str:
    """Return a record of a log: its message, the exception if there is one, all else as JSON."""
    if isinstance(record, str):
        return record
    first = ("event", "error_detail")
    rest = {name: value for name, value in record.items() if name not in first}
    words = record.get("event"), record.get("error_detail"), json.dumps(rest)
    return " ".join(str(word) for word in words if word)


def _tail(text: str) -> str:
    return "\n".join(line[:TAIL_COLUMNS] for line in text.splitlines()[-TAIL_LINES:])


def _free_ports(count: int) -> list[int]:
    """Return ports below those that the system gives to outgoing connections."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.add(port)
    return list(ports)


def _outer_environment() -> dict[str, str]:
    """Return the environment without what would lead Airflow, AirCan or psycopg elsewhere."""
    left_out = ("PG", "AIRFLOW", "AIRCAN_", "PYTHON", "VIRTUAL_ENV", "STORAGE_EMULATOR_HOST")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
