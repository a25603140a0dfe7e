"""The whole factory on this machine, to try it out: `make up`, `make down`.

CKAN 2.12 with the extension, its worker, PostgreSQL, Redis and Airflow with the DAGs, as the tests
run them; only Solr has a stand-in. A process in the background holds them all: they end with it,
and so does what was put in.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "tests" / "support"))

from portal import ADMIN, PASSWORD, Portal  # noqa: E402
from standalone import Airflow  # noqa: E402

STATE = CHECKOUT / ".factory" / "state.json"
LOG, LOCK = STATE.with_name("factory.log"), STATE.with_name("lock")
SAMPLE = CHECKOUT / "samples" / "street-trees.csv"
START_TIMEOUT_S, STOP_TIMEOUT_S = 300, 60


def up() -> None:
    """Start everything, unless it runs, and tell where it is."""
    if not running():
        STATE.unlink(missing_ok=True)
        print("Starting CKAN, Airflow, PostgreSQL and Redis: about a minute.")  # noqa: T201
        with LOG.open("wb") as log:
            holder = subprocess.Popen(
                [sys.executable, __file__, "hold"], stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + START_TIMEOUT_S
        while not STATE.exists():
            if holder.poll() is not None or time.monotonic() > end:
                holder.terminate()
                sys.exit(f"It did not start: see {LOG}\n{LOG.read_text()[-2000:]}")
            time.sleep(0.2)
    if not STATE.exists():
        sys.exit("The factory is about to start, or to end: try again in a minute")
    for line in state()["lines"]:
        print(line)  # noqa: T201


def down() -> None:
    """End everything."""
    if not (running() and STATE.exists()):
        print("The factory does not run.")  # noqa: T201
        return
    os.kill(state()["pid"], signal.SIGTERM)
    end = time.monotonic() + STOP_TIMEOUT_S
    while running():
        if time.monotonic() > end:
            sys.exit(f"It did not end: see {LOG}")
        time.sleep(0.2)
    print("The factory is down.")  # noqa: T201


def hold() -> None:
    """Hold everything until somebody says that it is enough."""
    enough = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: enough.set())
    with ExitStack() as stack:
        fcntl.flock(stack.enter_context(LOCK.open("wb")), fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Short, for PostgreSQL's sockets; as root it runs as another user, who has to get in.
        folder = Path(tempfile.mkdtemp(prefix="aircan-", dir="/tmp"))
        folder.chmod(0o755)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        lines = stack.enter_context(factory(folder))
        stack.callback(STATE.unlink, missing_ok=True)
        part = STATE.with_suffix(".part")
        part.write_text(json.dumps({"pid": os.getpid(), "lines": lines}), encoding="utf-8")
        part.replace(STATE)
        enough.wait()


@contextmanager
def factory(folder: Path) -> Iterator[list[str]]:
    """Start CKAN and Airflow, each knowing the other; give what to tell about them."""
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    environment = {"AIRCAN_ARTIFACTS": str(artifacts), "AIRCAN_ALLOWED_HOSTS": "127.0.0.1"}
    with ExitStack() as stack:
        airflow = Airflow(folder / "airflow", environment=environment, port=free_port(8080))
        stack.callback(airflow.cluster.stop)
        stack.callback(airflow.stop)
        airflow.start()
        settings = {
            "ckanext.aircan.airflow_url": airflow.url,
            "ckanext.aircan.airflow_username": "admin",
            "ckanext.aircan.airflow_password": "any",
            "ckanext.aircan.artifacts": str(artifacts),
        }
        portal = Portal(
            "2.12.0",
            folder / "ckan",
            plugins=("aircan",),
            settings=settings,
            port=free_port(5000),
        )
        stack.callback(portal.cluster.stop)
        stack.callback(portal.stop)
        portal.start()
        introduce(airflow, portal)
        yield tell(airflow, portal)


def introduce(airflow: Airflow, portal: Portal) -> None:
    """Make the Connections, by which the DAGs find CKAN and its DataStore."""
    airflow.add_connection("aircan_ckan", "http", host=portal.url, password=portal.token)
    airflow.add_database("aircan_datastore", portal.datastore_url)


def tell(airflow: Airflow, portal: Portal) -> list[str]:
    """Put a file up, and return where to look."""
    dataset = portal.new_dataset(name="street-trees", title="Street trees")
    portal.new_resource(
        upload=SAMPLE.read_bytes(), name="street-trees.csv", package_id=dataset["id"]
    )
    return [
        f"CKAN      {portal.url}  user {ADMIN}, password {PASSWORD}",
        f"Airflow   {airflow.url}  no login",
        f"A file that is being loaded: {portal.url}/@city/street-trees/actions/",
        "make down ends it all, and forgets what was put in.",
    ]


def running() -> bool:
    """Tell whether a factory runs, or is about to: whoever holds it up holds the lock, too."""
    STATE.parent.mkdir(exist_ok=True)
    with LOCK.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def state() -> dict[str, Any]:
    """Return what is known of the factory that runs."""
    return json.loads(STATE.read_text(encoding="utf-8"))


def free_port(wanted: int) -> int:
    """Return a port if nobody has it, else 0: any other."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted


if __name__ == "__main__":
    {"up": up, "down": down, "hold": hold}[sys.argv[1]]()
