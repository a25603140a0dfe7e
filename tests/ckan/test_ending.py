"""A run that ended without its last task: CKAN is told how each of its resources did."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from portal import Portal
from test_tasks import Connection, heard
from unsteady import Unsteady

from loader.errors import UsageError
from loader.factory import conf, ending
from loader.factory.artifacts import Artifacts, Place
from loader.factory.run import Run, Settings

DONE = {"rows": 3, "bad_rows": {"rejected": 0}, "warnings": [], "error": None}
FAILED = {"type": "EmptySource", "message": "nothing in it", "hint": None}
STEPS = ("prepare", "convert", "load", "register")
REASON = "the run failed: it took too long"
COUNT = 4


@pytest.fixture
def front(portal_212: Portal) -> Iterator[Unsteady]:
    with Unsteady(portal_212.url) as front:
        front.faults = {"aircan_status_update": [heard] * 1000}
        yield front


@pytest.fixture
def run(front: Unsteady, tmp_path: Path) -> Run:
    """A run of several resources, as who hears of its end knows it."""
    ckan = Connection("aircan_ckan", "http", front.url, password="token")
    run = Run("aircan_reload", "manual", Artifacts(str(tmp_path)), lambda _: ckan, Settings())
    listed = [{"resource_id": f"r{number}", "bytes": 1} for number in range(COUNT)]
    run.place("find").write("resources.json", listed)
    for number in range(COUNT):
        leave(run, number)
    return run


def part(run: Run, number: int) -> Run:
    return replace(run, group="resource.", index=str(number))


def leave(run: Run, number: int) -> None:
    """Leave what the steps of a load leave that went well."""
    for step in STEPS:
        place = part(run, number).place(step)
        place.write("resource.json", {"resource_id": f"r{number}", "path": "http://a/b.csv"})
        place.write("report.json", DONE | {"resource_id": f"r{number}"})


def told(front: Unsteady) -> dict[str, str]:
    """Return the last status of each resource."""
    updates = [json.loads(call.body) for call in front.made("aircan_status_update")]
    return {update["resource_id"]: update["status"] for update in updates}


def tell(run: Run, front: Unsteady) -> dict[str, str]:
    ending.tell(run, {"reload": "dataset"}, REASON)
    return told(front)


def test_each_is_told(run, front):
    part(run, 1).place("load").write("error.json", FAILED)
    assert tell(replace(run), front) == dict.fromkeys(("r0", "r1", "r2", "r3"), "FAILED")
    updates = [json.loads(call.body) for call in front.made("aircan_status_update")]
    messages = {update["resource_id"]: update["message"] for update in updates}
    assert messages == {"r0": REASON, "r1": "nothing in it", "r2": REASON, "r3": REASON}


def test_what_a_task_has_told_is_not_told_again(run, front):
    part(run, 2).place("report").write("report.json", {"error": None})
    assert tell(run, front).keys() == {"r0", "r1", "r3"}


# What lies in the place of a file; None for a folder, which cannot be read as a file.
DAMAGES = {
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "empty": b"",
    "a list": b"[]",
    "another object": b"{}",
    "a number": b"1",
    "other parts": b'{"rows": [], "bad_rows": 1, "warnings": {}, "message": [], "hint": 1}',
    "a folder": None,
}
FILES = [
    *((step, name) for step in STEPS for name in ("error.json", "report.json", "resource.json")),
    ("report", "report.json"),
    ("report", "other"),
]


@pytest.mark.parametrize("damaged", [0, 2])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_read_of_one_keeps_no_other_from_being_told(run, front, damage, damaged):
    for step, name in FILES:
        place = part(run, damaged).place(step)
        put(Path(place.uri), name, DAMAGES[damage])
        found = tell(run, front)
        others = {f"r{number}" for number in range(COUNT) if number != damaged}
        assert {one for one in found if found[one] == "FAILED"} >= others, (step, name)
        if step != "report":
            assert found[f"r{damaged}"] == "FAILED", (step, name)
        front.calls.clear()
        for number in range(COUNT):
            part(run, number).place("report").clear()
        place.clear()
        leave(run, damaged)


def put(folder: Path, name: str, content: bytes | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    if content is None:
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_a_list_what_was_begun_is_told(run, front, damage):
    put(Path(run.place("find").uri), "resources.json", DAMAGES[damage])
    if damage in ("a list", "a folder"):  # of nothing, and none yet
        assert tell(run, front) == {}
        return
    assert tell(run, front) == dict.fromkeys(("r0", "r1", "r2", "r3"), "FAILED")


def test_a_place_that_cannot_be_looked_into(run, front, tmp_path):
    """Where the folder of a step should be lies a file."""
    for step in (*STEPS, "report"):
        put(tmp_path / "aircan_reload" / "manual" / f"resource.{step}", "other", b"")
        for number in (0, 2):
            place = part(run, number).place(step)
            place.clear()
            put(Path(place.uri).parent, str(number), b"")
    found = tell(run, front)
    assert (found["r1"], found["r3"]) == ("FAILED", "FAILED")


@pytest.mark.parametrize("asked", [{"resource": "{"}, {}, {"resource": "a", "options": {"x": 1}}])
def test_a_conf_that_is_none_is_one_line(run, front, asked, caplog):
    ending.tell(replace(run, dag_id="aircan_load"), asked, REASON)
    assert told(front) == {}
    assert "CKAN was not told how manual ended" in caplog.text


FAULT = UsageError("AIRCAN_TIMEOUT_HOURS cannot be 'x'")


@pytest.mark.parametrize("reason", [REASON, ""], ids=["failed", "done"])
def test_settings_of_the_scheduler_that_cannot_be_keep_nobody_from_being_told(
    run, front, reason, caplog
):
    run = replace(run, settings=Settings(fault=FAULT))
    ending.tell(run, {"reload": "dataset"}, reason)
    assert told(front) == dict.fromkeys(("r0", "r1", "r2", "r3"), "FAILED" if reason else "DONE")
    assert "CKAN was not told" not in caplog.text


def test_an_end_of_which_nobody_knows_is_told_and_logged(run, front, caplog):
    put(Path(part(run, 1).place("register").uri), "report.json", b"{")
    ending.tell(run, {"reload": "dataset"}, "")
    assert told(front) == {"r0": "DONE", "r1": "FAILED", "r2": "DONE", "r3": "DONE"}
    assert "CKAN was not told" not in caplog.text
    assert "how r1 of manual ended is unknown" in caplog.text


class Breaking(Artifacts):
    """Artifacts whose storage fails in a way that nobody expects."""

    def place(self, *_: str) -> Place:
        raise RuntimeError("a secret")


@pytest.mark.parametrize("dag_id", ["aircan_reload", "aircan_load", "aircan_validate"])
def test_whatever_goes_wrong_is_a_line_of_the_log(run, dag_id, caplog):
    run = replace(run, dag_id=dag_id, artifacts=Breaking(run.artifacts.uri))
    ending.tell(run, {"resource": "r0"}, REASON)
    assert "CKAN was not told how" in caplog.text
    assert "RuntimeError" in caplog.text
    assert "a secret" not in caplog.text


def test_one_resource_is_told(run, front, caplog):
    one: dict[str, Any] = {"resource": "r0", "job_id": "job-1"}
    ending.tell(replace(run, dag_id="aircan_load"), one, REASON)
    assert told(front) == {"r0": "FAILED"}
    assert conf.read(one).job_id == "job-1"


def test_a_ckan_that_is_slow_is_not_told_for_hours(run, front, caplog):
    def slow(handler: Any, call: Any) -> None:
        time.sleep(0.6)
        heard(handler, call)

    front.faults = {"aircan_status_update": [slow] * 1000}
    ending.tell(run, {"reload": "failed"}, REASON, longest_s=0.5)
    assert len(told(front)) == 1
    assert "too slow to be told how 3 of the 4 resources of manual ended" in caplog.text
