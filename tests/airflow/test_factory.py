"""The tests' Airflow does what they count on; the project's DAG files are as Airflow wants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from processes import is_running
from standalone import DAGS, ENVIRONMENT, KEEPER, TEST_DAGS, Airflow, Refused, dag_files
from unsteady import Unsteady

import loader

DAG_FILES = [*dag_files(DAGS), TEST_DAGS / "harness.py"]

GREEDY = """
import socket, time
from pathlib import Path

Path(__file__).with_name("data.csv").write_text("a,b")
try:
    socket.create_connection(("127.0.0.1", 9))
except OSError:
    pass
end = time.process_time() + 1.1
while time.process_time() < end:
    pass
"""


def parsed(file: Path, home: Path) -> dict[str, Any]:
    """What importing a DAG file in a fresh process takes."""
    python, script = ENVIRONMENT / "bin" / "python", Path(__file__).with_name("parse.py")
    done = subprocess.run(
        [python, script, file],
        env={"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("file", DAG_FILES, ids=lambda file: file.stem)
def test_a_dag_file_is_read_in_under_a_second_and_touches_nothing(file: Path, tmp_path: Path):
    found = parsed(file, tmp_path)
    assert found["cpu_s"] < 1
    assert found["touched"] == []


def test_a_dag_file_that_touches_something_is_found_out(tmp_path: Path) -> None:
    file = tmp_path / "greedy.py"
    file.write_text(GREEDY)
    found = parsed(file, tmp_path)
    assert found["cpu_s"] > 1
    assert [line.partition(":")[0] for line in found["touched"]] == [
        "open",
        "socket.getaddrinfo",
        "socket.connect",
    ]


LOAD = """
from airflow.sdk import DAG
from loader.factory import dag_parts

with DAG("one") as dag:
    dag_parts.load()
print(dag.get_task("load").max_active_tis_per_dag)
"""


@pytest.mark.parametrize(("said", "most"), [("8", "8"), ("", "None"), ("0", "None"), ("x", "None")])
def test_airflow_counts_the_loads_of_a_dag(said: str, most: str, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-c", LOAD],
        env=environment | {"AIRCAN_MAX_LOADS": said},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1:] == [most], done.stderr


# Reads the DAG files as Airflow does, and hands the DAGs over as the scheduler gets them.
READ = """
import importlib.util, json, sys
from airflow.sdk.definitions._internal.contextmanager import DagContext
from airflow.serialization.serialized_objects import DagSerialization

DagContext.current_autoregister_module_name = "json"
for file in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("dag_file", file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
dags = [DagSerialization.from_dict(DagSerialization.to_dict(dag))
        for dag, _ in DagContext.autoregistered_dags]
print(json.dumps({dag.dag_id: [
    dag.max_active_runs, dag.dagrun_timeout.total_seconds(), dag.timetable.summary,
    sorted({task.retry_delay.total_seconds() for task in dag.tasks}),
    sorted({task.queue for task in dag.tasks}), sorted({task.pool for task in dag.tasks}),
    dag.doc_md] for dag in dags}))
"""


def read_dags(home: Path, settings: dict[str, str]) -> dict[str, list[Any]]:
    """Return what Airflow knows of each DAG where the environment has these settings."""
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-c", READ, *dag_files(DAGS)],
        env={"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(home), **LOADER, **settings},
        cwd=home,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


LOADER = {"PYTHONPATH": str(Path(loader.__file__).parents[1])}
DEFAULTS = {
    dag_id: [16, 86400, "None", [15], ["default"], ["default_pool"]]
    for dag_id in ("aircan_load", "aircan_reload", "aircan_validate")
} | {
    "aircan_load_large": [1, 86400, "None", [15], ["default"], ["default_pool"]],
    "aircan_cleanup": [1, 86400, "0 0 * * *", [15], ["default"], ["default_pool"]],
}
NUMBERS = ("x", " ", "-1", "nan", "inf", "1e999", "9" * 400, "1_0", "٣", "½")
BAD = {
    "AIRCAN_RETRY_DELAY_S": NUMBERS,
    "AIRCAN_TIMEOUT_HOURS": (*NUMBERS, "0", "1e-12"),
    "AIRCAN_MAX_ACTIVE_RUNS": (*NUMBERS, "0", "1.5", str(2**31)),
    "AIRCAN_LARGE_RUNS": (*NUMBERS, "0", "1.5", str(2**31)),
    "AIRCAN_MAX_LOADS": (*NUMBERS, "0", "1.5", str(2**31)),
    "AIRCAN_HUGE_BYTES": (*NUMBERS, "0", "1.5", str(2**63)),
    "AIRCAN_REFUSE_API_KEYS": (*NUMBERS, "perhaps"),
    "AIRCAN_LARGE_QUEUE": ("x" * 300, "a\tb", " "),
    "AIRCAN_LARGE_POOL": ("x" * 300, "a\tb", " "),
    "AIRCAN_CLEANUP_SCHEDULE": ("0 3 31 4 *", "every day", "@sometimes", "a b c d e", *NUMBERS),
}
OF_ONE = {
    "AIRCAN_LARGE_RUNS": "aircan_load_large",
    "AIRCAN_LARGE_QUEUE": "aircan_load_large",
    "AIRCAN_LARGE_POOL": "aircan_load_large",
    "AIRCAN_CLEANUP_SCHEDULE": "aircan_cleanup",
}


@pytest.mark.parametrize("number", range(max(map(len, BAD.values()))))
def test_no_setting_takes_a_dag_away(number: int, tmp_path: Path) -> None:
    """All variables at once, each with the next of its bad values."""
    settings = {name: values[number % len(values)] for name, values in BAD.items()}
    found = read_dags(tmp_path, settings)
    assert {dag_id: facts[:-1] for dag_id, facts in found.items()} == DEFAULTS
    for dag_id, facts in found.items():
        shown = {name for name in BAD if f"**{name} cannot be" in facts[-1]}
        wrong = {name for name, value in settings.items() if value.strip()}
        assert shown == {name for name in wrong if OF_ONE.get(name, dag_id) == dag_id}


def test_settings_that_may_be_are_heeded(tmp_path: Path) -> None:
    found = read_dags(
        tmp_path,
        {
            "AIRCAN_RETRY_DELAY_S": "0",
            "AIRCAN_TIMEOUT_HOURS": "0.5",
            "AIRCAN_MAX_ACTIVE_RUNS": "3",
            "AIRCAN_LARGE_RUNS": "2",
            "AIRCAN_LARGE_QUEUE": "large",
            "AIRCAN_LARGE_POOL": "big",
            "AIRCAN_CLEANUP_SCHEDULE": "0 3 * * *",
        },
    )
    assert found["aircan_load"][:-1] == [3, 1800, "None", [0], ["default"], ["default_pool"]]
    assert found["aircan_load_large"][:-1] == [2, 1800, "None", [0], ["large"], ["big"]]
    assert found["aircan_cleanup"][:3] == [1, 1800, "0 3 * * *"]
    assert not any("cannot be" in facts[-1] for facts in found.values())


# Of each of what follows, whether it may be; then the seconds of CPU that this took.
SCHEDULES = """
import json, os, sys, time
from airflow.sdk import CronTriggerTimetable
from loader.errors import UsageError
from loader.factory.environment import CLEANUP_SCHEDULE

found = {}
CLEANUP_SCHEDULE.value()
begun = time.process_time()
for text in sys.argv[1:]:
    os.environ[CLEANUP_SCHEDULE.name] = text
    try:
        found[text] = CLEANUP_SCHEDULE.value() == text
    except UsageError as error:
        found[text] = [str(error), CLEANUP_SCHEDULE.tolerant()]
print(json.dumps([found, time.process_time() - begun]))
"""
# Days that there never are, by all ways to write them; and years without any.
NEVER = (
    *("0 3 31 4 *", "0 0 30 2 *", "* * 30-31 2 *", "* * 31 2,4,6,9,11 *", "*/7 */5 30 feb *"),
    *("0 0 31 4 * 0 2026-2090", "* * * * * * 1999", "0 0 29 2 * 0 2025"),
    *("99 * * * *", "0 0 1 1 * 0 2090", "0 0 1 1 * 0 2099", "0-59 0-23 31 4,6,9,11 * 0-59"),
)
SOMETIMES = (
    *("0 3 * * *", "@daily", "@hourly", "@weekly", "@monthly", "@quarterly", "@yearly", "@once"),
    *("0 0 29 2 *", "0 0 31 12 *", "0 0 31 4 1", "0 0 l 2 *", "0 0 * * fri#5"),
    *("*/5 * * * *", "0 0 31 1-12 *", "0 3 * * mon-fri", "15,45 2 1 jan,jul *", "@continuous"),
)


def test_a_schedule_comes_about_sometimes(tmp_path: Path) -> None:
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-c", SCHEDULES, *NEVER, *SOMETIMES],
        env={"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), **LOADER},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found, cpu_s = json.loads(done.stdout.splitlines()[-1])
    assert {text: found[text] for text in SOMETIMES} == dict.fromkeys(SOMETIMES, True)
    told = {text: [f"AIRCAN_CLEANUP_SCHEDULE cannot be {text!r}", "@daily"] for text in NEVER}
    assert {text: found[text] for text in NEVER} == told
    assert cpu_s < 10  # a DAG file is read every half a minute


@pytest.fixture(scope="module")
def mistaken(servers: Path) -> Iterator[Airflow]:
    """An Airflow whose operators have made a mistake in each setting."""
    folder = servers / "mistaken-artifacts"
    folder.mkdir()
    bad = {name: values[0] for name, values in BAD.items()}
    airflow = Airflow(servers / "mistaken", (DAGS,), bad | {"AIRCAN_ARTIFACTS": str(folder)})
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()


@pytest.fixture(scope="module")
def hearing(mistaken: Airflow) -> Iterator[Unsteady]:
    """The CKAN of its connection, which hears of every job."""

    def heard(handler: Any, call: Any) -> None:
        content = b'{"success": true, "result": {}}'
        handler.answer(200, content, {"Content-Type": "application/json"})

    with Unsteady("http://127.0.0.1:9", always=heard) as front:
        mistaken.add_connection("aircan_ckan", "http", host=front.url, password="a-token")
        yield front


@pytest.mark.parametrize(
    ("dag_id", "conf", "tasks"),
    [
        ("aircan_load", {"resource": "a"}, ["prepare", "report"]),
        ("aircan_load_large", {"resource": "a"}, ["prepare", "report"]),
        ("aircan_validate", {"resource": "a"}, ["prepare", "report"]),
        ("aircan_reload", {"reload": "a"}, ["find"]),
        ("aircan_cleanup", {}, ["clean_up"]),
    ],
)
def test_each_task_fails_with_the_setting_that_cannot_be(
    mistaken: Airflow, hearing: Unsteady, dag_id: str, conf: dict[str, str], tasks: list[str]
) -> None:
    hearing.calls.clear()
    run_id = mistaken.trigger(dag_id, conf)
    assert mistaken.wait(dag_id, run_id) == "failed"
    said = "AIRCAN_MAX_ACTIVE_RUNS cannot be 'x'; a whole number from 1 to"
    for task in tasks:
        assert said in mistaken.log(dag_id, run_id, task)
        assert mistaken.task(dag_id, run_id, task)["try_number"] == 1
    if "report" in tasks:
        told = [json.loads(call.body) for call in hearing.made("aircan_status_update")][-1]
        assert (told["status"], told["info"]["error"]["type"]) == ("FAILED", "UsageError")
        assert told["message"] == "AIRCAN_MAX_ACTIVE_RUNS cannot be 'x'"


def test_airflow_imports_every_dag_of_the_project(airflow: Airflow) -> None:
    assert airflow.import_errors().keys() == {TEST_DAGS / "broken.py"}
    assert {"harness", *(file.stem for file in dag_files(DAGS))} == airflow.dag_ids()


def test_a_dag_run_succeeds_with_mapped_tasks_side_by_side(airflow: Airflow) -> None:
    run_id = airflow.run("harness", {"upto": 6})
    tasks = airflow.tasks("harness", run_id)
    assert sorted((one["task_id"], one["map_index"]) for one in tasks) == [
        ("add", -1),
        *(("double", index) for index in range(6)),
        ("numbers", -1),
    ]
    doubles = [one for one in tasks if one["task_id"] == "double"]
    begun = sorted(doubles, key=itemgetter("start_date"))
    assert any(one["end_date"] > later["start_date"] for one, later in pairwise(begun))
    assert [one["rendered_fields"]["op_kwargs"] for one in doubles] == [
        {"number": index} for index in range(6)
    ]
    xcoms = airflow.xcoms("harness", run_id)
    handed_over = {(one["task_id"], one["map_index"]): one["value"] for one in xcoms}
    assert handed_over["double", 5] == 10
    assert handed_over["add", -1] == 30


def test_tasks_have_the_loader_and_the_environment(airflow: Airflow) -> None:
    run_id = airflow.run("harness")
    said = f"loader {loader.__version__}, artifacts {airflow.environment['AIRCAN_ARTIFACTS']}"
    assert said in airflow.log("harness", run_id, "numbers")


def test_a_wrong_conf_is_refused(airflow: Airflow) -> None:
    with pytest.raises(Refused, match="0 is less than the minimum of 1") as refused:
        airflow.trigger("harness", {"upto": 0})
    assert refused.value.status == 400


def test_a_failure_shows_the_log(airflow: Airflow) -> None:
    run_id = airflow.trigger("harness", {"fail": True})
    with pytest.raises(AssertionError, match="'ValueError', 'exc_value': 'asked to fail'"):
        airflow.wait_success("harness", run_id)


def test_a_task_and_a_run_run_again_when_they_are_cleared(airflow: Airflow) -> None:
    run_id = airflow.run("harness", {"upto": 1})
    airflow.clear("harness", run_id, ["double"])
    airflow.wait_success("harness", run_id)
    assert tries(airflow, run_id) == {"numbers": 1, "double": 2, "add": 1}
    airflow.clear("harness", run_id, ["double"], downstream=True)
    airflow.wait_success("harness", run_id)
    assert tries(airflow, run_id) == {"numbers": 1, "double": 3, "add": 2}
    airflow.clear_run("harness", run_id)
    airflow.wait_success("harness", run_id)
    assert tries(airflow, run_id) == {"numbers": 2, "double": 4, "add": 3}


def tries(airflow: Airflow, run_id: str) -> dict[str, int]:
    return {one["task_id"]: one["try_number"] for one in airflow.tasks("harness", run_id)}


def test_a_run_is_marked_failed(airflow: Airflow) -> None:
    run_id = airflow.trigger("harness", {"upto": 100})
    airflow.set_run_state("harness", run_id, "failed")
    assert airflow.wait("harness", run_id) == "failed"


def test_a_paused_dag_waits(airflow: Airflow) -> None:
    airflow.pause("harness")
    run_id = airflow.trigger("harness")
    with pytest.raises(TimeoutError, match="queued"):
        airflow.wait("harness", run_id, timeout_s=2)
    airflow.pause("harness", paused=False)
    airflow.wait_success("harness", run_id)


def test_an_airflow_that_does_not_start_says_why(servers: Path) -> None:
    airflow = Airflow(servers / "no-airflow", (), {"AIRFLOW__CORE__EXECUTOR": "no.such.Executor"})
    with pytest.raises(RuntimeError, match=r"(?s)Airflow: no API.*No module named 'no'"):
        airflow.start()
    airflow.stop()


def test_all_processes_end_with_the_tests() -> None:
    # A shell that minds its jobs gives each of them a process group of its own, as Airflow does.
    script = "set -m; sleep 1000 & echo $!; (sleep 1000 & echo $!; wait) & wait"
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, "/bin/sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    pids = [int(keeper.stdout.readline()) for _ in range(2)]
    assert all(map(is_running, pids))
    keeper.stdin.close()
    assert keeper.wait(timeout=30) == 0
    assert not any(map(is_running, pids))
