"""Import a DAG file as Airflow's DAG processor does: `python parse.py FILE`, with Airflow's Python.

Prints a JSON object: `cpu_s`, the seconds of CPU that it took beyond Airflow's own imports, and
`touched`, what it opened, connected to or started, the code of Python and of packages left out.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path

import airflow.sdk

EVENTS = {"open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"}
PACKAGES = (sys.prefix, sys.base_prefix)

touched: list[str] = []


def watch(event: str, arguments: tuple) -> None:
    """Note what is touched; see `sys.addaudithook`."""
    if event in EVENTS and not (event == "open" and is_code(arguments[0])):
        touched.append(f"{event}: {arguments[:2]}")


def is_code(file: object) -> bool:
    """Whether a file that is opened is Python's, a package's or code at all; else it is data."""
    if isinstance(file, int):
        return True
    name = str(file)
    return name.startswith(PACKAGES) or name.endswith(".py") or "__pycache__" in name


@airflow.sdk.dag(schedule=None)
def airflow_itself() -> None:
    """Make Airflow import all that a DAG needs: it does that when a DAG asks for it."""

    @airflow.sdk.task
    def nothing() -> None: ...

    nothing()


def main(file: Path) -> None:
    """Import the file and print what that took."""
    for name in airflow.sdk.__all__:
        # It is imported when it is asked for; one of the names is not there even then.
        getattr(airflow.sdk, name, None)
    airflow_itself()
    sys.path[0] = str(file.parent)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    sys.addaudithook(watch)
    begin = time.process_time()
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    json.dump({"cpu_s": time.process_time() - begin, "touched": touched}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
