"""The DAGs on a real Airflow, from a web server or a bucket into the DataStore of a real CKAN."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from operator import itemgetter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from google.cloud import storage
from http_server import HttpServer
from loads import rows
from portal import PASSWORD, Portal
from standalone import Airflow, Refused
from unsteady import Unsteady

from loader.copy import slots
from loader.errors import TooManyLoads

CSV = "id,name,when\n1,Straße,2020-02-29\n2,,1999-01-01\n3,x y,2001-01-01\n"
ROWS = [("1", "Straße", "2020-02-29"), ("2", None, "1999-01-01"), ("3", "x y", "2001-01-01")]
STEPS = ("prepare", "convert", "load", "register", "report")


def heard(handler: Any, call: Any) -> None:
    content = b'{"success": true, "result": {}}'
    handler.answer(200, content, {"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def front(airflow: Airflow, portal_212: Portal) -> Iterator[Unsteady]:
    """CKAN, with somebody who takes the statuses that it has no action for yet."""
    with Unsteady(portal_212.url) as front:
        front.faults = {"aircan_status_update": [heard] * 100_000}
        airflow.add_connection("aircan_ckan", "http", host=front.url, password=portal_212.token)
        airflow.add_database("aircan_datastore", portal_212.datastore_url)
        yield front


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(CSV.encode()) as server:
        yield server


@pytest.fixture
def resource(portal_212: Portal, front: Unsteady, server: HttpServer) -> str:
    """A resource whose file is the server's."""
    return portal_212.new_resource(server.url)["id"]


def told(front: Unsteady, resource_id: str) -> list[dict[str, Any]]:
    """What CKAN was told of a resource, in the order in which it was said: one may come late."""
    updates = [json.loads(call.body) for call in front.made("aircan_status_update")]
    mine = [update for update in updates if update["resource_id"] == resource_id]
    return sorted(mine, key=itemgetter("sequence"))


def until(question: Callable[[], Any], timeout_s: float = 180) -> Any:
    end = time.monotonic() + timeout_s
    while not (answer := question()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return answer


def states(airflow: Airflow, dag_id: str, run_id: str) -> dict[str, str]:
    return {one["task_id"]: one["state"] for one in airflow.tasks(dag_id, run_id)}


@pytest.fixture(scope="module")
def slow_run(airflow: Airflow, portal_212: Portal, front: Unsteady) -> Iterator[tuple[str, str]]:
    """A run that takes longer than it may, begun before all others: its resource and its id."""
    with HttpServer(CSV.encode() * 100_000, bytes_per_s=1000) as endless:
        resource_id = portal_212.new_resource(endless.url)["id"]
        conf = {"resource": {"resource_id": resource_id}}
        yield resource_id, airflow.trigger("aircan_load", conf)


@pytest.fixture(autouse=True)
def begun(slow_run: tuple[str, str]) -> None:
    """Let the clock of the slow run tick."""


def test_nothing_has_failed_yet(airflow, front):
    run_id = airflow.run("aircan_reload", {"reload": "failed"})
    assert states(airflow, "aircan_reload", run_id)["find"] == "success"


def test_a_file_of_a_web_server_is_loaded(airflow, portal_212, front, resource):
    conf = {"resource": {"resource_id": resource}, "job_id": "job-1"}
    run_id = airflow.run("aircan_load", conf)
    assert rows(portal_212, resource) == ROWS
    assert portal_212.search(resource, q="straße")["total"] == 1
    assert states(airflow, "aircan_load", run_id) == {
        **dict.fromkeys(STEPS, "success"),
        "convert": "skipped",
    }
    last = told(front, resource)[-1]
    assert (last["job_id"], last["status"], last["info"]["rows"]) == ("job-1", "DONE", 3)


def test_a_file_of_a_bucket_is_loaded(airflow, portal_212, resource, bucket, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket)
    client = storage.Client.create_anonymous_client()
    client.bucket("bucket").blob("data.csv").upload_from_string(CSV)
    airflow.run(
        "aircan_load", {"resource": {"resource_id": resource, "path": "gs://bucket/data.csv"}}
    )
    assert rows(portal_212, resource) == ROWS


def test_older_callers_send_the_resource_as_text(airflow, portal_212, front, resource, server):
    conf = {
        "resource": json.dumps({"resource_id": resource, "path": server.url}),
        "ckan_api_key": portal_212.token,
        "ckan_api_endpoint": f"{front.url}/api/",
    }
    airflow.run("aircan_load", conf)
    assert rows(portal_212, resource) == ROWS


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({}, "resource"),
        ({"resource": {"path": "x.csv"}}, "'resource_id' is a required property"),
        ({"resource": {"resource_id": "a/b"}}, "does not match"),
        ({"resource": "a/b"}, "does not match"),
        ({"resource": {"resource_id": "a"}, "mode": "merge"}, "'merge' is not one of"),
        ({"resource": {"resource_id": "a"}, "options": {"lanes": 9}}, "lanes"),
    ],
)
def test_a_wrong_conf_is_refused(airflow, conf, said):
    with pytest.raises(Refused) as refused:
        airflow.trigger("aircan_load", conf)
    assert refused.value.status == 400
    assert said in str(refused.value.body)


@pytest.mark.parametrize("database", ["aircan_datastore", None])
def test_each_task_and_the_run_may_be_done_again(airflow, portal_212, front, resource, database):
    conf = {"resource": {"resource_id": resource}, "datastore_conn_id": database}
    run_id = airflow.run("aircan_load", conf)
    before = portal_212.action("resource_show", id=resource)["hash"]
    for step in STEPS:
        airflow.clear("aircan_load", run_id, [step])
        airflow.wait_success("aircan_load", run_id)
        assert rows(portal_212, resource) == ROWS
        until(lambda: told(front, resource)[-1]["status"] == "DONE")
    airflow.clear_run("aircan_load", run_id)
    airflow.wait_success("aircan_load", run_id)
    assert rows(portal_212, resource) == ROWS
    assert portal_212.search(resource)["total"] == 3
    assert portal_212.action("resource_show", id=resource)["hash"] == before


def test_a_broken_file_fails_at_once_and_the_old_rows_stay(
    airflow, portal_212, front, resource, server
):
    airflow.run("aircan_load", {"resource": {"resource_id": resource}})
    server.content = b"id,when\n1,2020-01-01\n2,soon\n"
    schema = {"fields": [{"name": "when", "type": "date"}]}
    conf = {"resource": {"resource_id": resource, "schema": schema}}
    run_id = airflow.trigger("aircan_load", conf)
    assert airflow.wait("aircan_load", run_id) == "failed"
    assert airflow.task("aircan_load", run_id, "load")["try_number"] == 1
    last = told(front, resource)[-1]
    assert (last["status"], last["step"]) == ("FAILED", "load")
    error = last["info"]["error"]
    assert (error["row"], error["column"], error["value"]) == (3, "when", "soon")
    assert rows(portal_212, resource) == ROWS
    assert "does not fit the declared type date" in airflow.log("aircan_load", run_id, "load")


def test_what_a_retry_can_help_is_tried_again(airflow, portal_212, resource, server):
    server.failures = [503] * 4  # one more than one try bears
    run_id = airflow.run("aircan_load", {"resource": {"resource_id": resource}})
    assert airflow.task("aircan_load", run_id, "load")["try_number"] > 1
    assert rows(portal_212, resource) == ROWS


def test_a_run_that_is_marked_failed_tells_ckan(airflow, front, portal_212, server):
    server.content, server.bytes_per_s = CSV.encode() * 10_000, 1000
    resource_id = portal_212.new_resource(server.url)["id"]
    run_id = airflow.trigger("aircan_load", {"resource": {"resource_id": resource_id}})
    until(lambda: states(airflow, "aircan_load", run_id).get("load") == "running")
    airflow.set_run_state("aircan_load", run_id, "failed")
    last = until(lambda: [u for u in told(front, resource_id) if u["status"] == "FAILED"])[-1]
    assert "stopped in Airflow" in last["message"]
    time.sleep(1)
    assert told(front, resource_id)[-1]["status"] == "FAILED"


def test_a_private_address_is_refused(airflow, front, portal_212):
    resource_id = portal_212.new_resource("http://127.0.0.2:5432/data.csv")["id"]
    run_id = airflow.trigger("aircan_load", {"resource": {"resource_id": resource_id}})
    assert airflow.wait("aircan_load", run_id) == "failed"
    last = told(front, resource_id)[-1]
    assert last["info"]["error"]["type"] == "AddressRefused"


def test_a_load_waits_for_a_database_that_has_enough_of_them(airflow, portal_212, resource):
    most = int(airflow.environment["AIRCAN_MAX_LOADS"])
    held: list[psycopg.Connection] = []
    with ExitStack() as stack:

        def hold() -> int:
            if len(held) < most:
                connection = psycopg.connect(portal_212.datastore_url)
                try:
                    slots.take(connection, most)
                except TooManyLoads:
                    connection.close()
                else:
                    held.append(stack.enter_context(closing(connection)))
            return len(held)

        def waits() -> bool:
            hold()  # the slow run may have had one, and ended
            return states(airflow, "aircan_load", run_id).get("load") == "up_for_reschedule"

        until(lambda: hold() >= most - 1)  # what was stopped before may still have one
        run_id = airflow.trigger("aircan_load", {"resource": resource})
        until(waits)
    airflow.wait_success("aircan_load", run_id)
    assert airflow.task("aircan_load", run_id, "load")["try_number"] == 1
    assert rows(portal_212, resource) == ROWS


def test_very_large_files_are_loaded_one_at_a_time_on_workers_of_their_own(
    airflow, portal_212, front, server
):
    resources = [portal_212.new_resource(server.url)["id"] for _ in range(2)]
    runs = [airflow.trigger("aircan_load_large", {"resource": one}) for one in resources]
    for run_id, resource_id in zip(runs, resources, strict=True):
        airflow.wait_success("aircan_load_large", run_id)
        assert rows(portal_212, resource_id) == ROWS
        assert told(front, resource_id)[-1]["dag_id"] == "aircan_load_large"
    for one in airflow.tasks("aircan_load_large", runs[0]):
        assert (one["pool"], one["queue"]) == ("large", "large")
    first, second = (
        airflow.request("GET", f"dags/aircan_load_large/dagRuns/{run_id}") for run_id in runs
    )
    assert second["start_date"] >= first["end_date"]


class TestReload:
    def test_a_resource(self, airflow, portal_212, resource):
        airflow.run("aircan_reload", {"reload": resource})
        assert rows(portal_212, resource) == ROWS

    def test_a_dataset_and_then_what_failed(self, airflow, front, portal_212, server):
        dataset = portal_212.new_dataset()["id"]
        with HttpServer(b"") as broken:
            good = portal_212.new_resource(server.url, package_id=dataset)["id"]
            bad = portal_212.new_resource(broken.url, package_id=dataset)["id"]
            portal_212.new_resource(server.url, package_id=dataset, format="PDF")
            run_id = airflow.trigger("aircan_reload", {"reload": dataset})
            assert airflow.wait("aircan_reload", run_id) == "failed"
            assert rows(portal_212, good) == ROWS
            tasks = airflow.tasks("aircan_reload", run_id)
            loads = [one["map_index"] for one in tasks if one["task_id"] == "resource.load"]
            assert sorted(loads) == [0, 1]
            assert told(front, bad)[-1]["info"]["error"]["type"] == "EmptySource"
            broken.content = CSV.encode()
            airflow.trigger("aircan_reload", {"reload": "failed"})
            until(lambda: told(front, bad)[-1]["status"] == "DONE")
        assert rows(portal_212, bad) == ROWS
        assert told(front, bad)[-1]["status"] == "DONE"

    def test_nothing_that_is_known(self, airflow, front):
        run_id = airflow.trigger("aircan_reload", {"reload": "no-such-thing"})
        assert airflow.wait("aircan_reload", run_id) == "failed"
        assert "Not found" in airflow.log("aircan_reload", run_id, "find")


def test_a_validation_tells_row_and_column(airflow, front, resource, server):
    server.content = b"id,when\n1,2020-01-01\nx,soon\n"
    schema = {"fields": [{"name": "id", "type": "integer"}, {"name": "when", "type": "date"}]}
    airflow.run("aircan_validate", {"resource": {"resource_id": resource, "schema": schema}})
    last = told(front, resource)[-1]
    assert (last["job_type"], last["status"]) == ("VALIDATE", "DONE")
    places = [(one["row"], one["column"]) for one in last["info"]["first"]]
    assert places == [(3, "id"), (3, "when")]


def test_the_cleanup_deletes_what_is_old(airflow, artifacts, resource, server):
    conf = {"resource": {"resource_id": resource}}
    run_id = airflow.run("aircan_load", conf)
    server.content, server.bytes_per_s = CSV.encode() * 10_000, 1000
    slow = airflow.trigger("aircan_load", conf)
    old, going = (artifacts / "aircan_load" / one for one in (run_id, slow))
    until((going / "prepare" / "resource.json").exists)
    gone = artifacts / "aircan_load" / "deleted_in_airflow" / "load"
    gone.mkdir(parents=True)
    (gone / "report.json").write_text("{}")
    for folder in (old, going, gone):
        for path in folder.rglob("*.json"):
            os.utime(path, (0, 0))
    listed = airflow.run("aircan_cleanup", {"days": 1, "dry_run": True})
    report = cleaned(artifacts, listed)
    assert {one["run_id"] for one in report["freed"]} == {run_id, "deleted_in_airflow"}
    assert old.exists()
    airflow.run("aircan_cleanup", {"days": 1})
    assert not old.exists()
    assert not gone.exists()
    assert going.exists()
    airflow.set_run_state("aircan_load", slow, "failed")


def cleaned(artifacts: Path, run_id: str) -> dict[str, Any]:
    place = artifacts / "aircan_cleanup" / run_id / "clean_up"
    return json.loads((place / "report.json").read_text())


def test_no_secret_is_shown_anywhere(airflow, front, portal_212, resource, artifacts):
    runs = [
        (dag_id, airflow.run(dag_id, conf))
        for dag_id, conf in (
            ("aircan_load", {"resource": {"resource_id": resource}}),
            ("aircan_load_large", {"resource": resource}),
            ("aircan_load", {"resource": resource, "ckan_api_key": portal_212.token}),
            ("aircan_reload", {"reload": resource}),
            ("aircan_validate", {"resource": {"resource_id": resource}}),
        )
    ]
    said = [json.dumps(update) for update in told(front, resource)]
    for dag_id, run_id in runs:
        tasks = airflow.tasks(dag_id, run_id)
        said += [json.dumps(tasks), json.dumps(airflow.xcoms(dag_id, run_id))]
        said += [
            airflow.log(dag_id, run_id, one["task_id"], one["map_index"])
            for one in tasks
            if one["state"] == "success"
        ]
        folder = artifacts / dag_id / run_id
        said += [path.read_text() for path in folder.rglob("*.json")]
    assert len(said) > 20
    for secret in (portal_212.token, PASSWORD):
        assert not [part for part in said if secret in part]


def test_a_run_that_takes_too_long_tells_ckan(airflow, front, slow_run):
    resource_id, run_id = slow_run
    allowed_s = float(airflow.environment["AIRCAN_TIMEOUT_HOURS"]) * 3600
    assert airflow.wait("aircan_load", run_id, allowed_s + 60) == "failed"
    last = until(lambda: [u for u in told(front, resource_id) if u["status"] == "FAILED"])[-1]
    assert "took too long" in last["message"]
