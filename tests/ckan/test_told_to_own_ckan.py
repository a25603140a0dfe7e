"""A CKAN that a conf brings hears of its own load, and of nothing that is the operator's.

A rule over all settings of a worker's environment and all ways in which a job may go: everything
that is sent to that CKAN is looked through for what only the operator knows.
"""

from __future__ import annotations

import json
import logging
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import test_own_ckan
from cases import pairwise
from http_server import HttpServer
from portal import Portal
from test_own_ckan import LIMITS, Theirs, Trap, asked
from test_tasks import heard
from unsteady import Unsteady

from loader import errors
from loader.factory import ending, environment, on_airflow, tasks
from loader.factory.artifacts import Artifacts
from loader.factory.disclosure import WITHHELD
from loader.factory.environment import Setting
from loader.factory.run import Run

trap, operators_run = test_own_ckan.trap, test_own_ckan.run
CSV = b"id,name\n1,a\n2,b\n"
SECRET = "operators-own"  # stands in all that is the operator's
LOAD, VALIDATE = ("prepare", "convert", "load", "register"), ("look_up", "validate")


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(CSV) as server:
        yield server


@pytest.fixture
def theirs(portal_212: Portal, server: HttpServer) -> Iterator[Theirs]:
    with Unsteady(portal_212.url) as front:
        front.faults = {"aircan_status_update": [heard] * 1000}
        yield Theirs(front, portal_212.new_resource(server.url)["id"], portal_212.token)


@pytest.fixture
def run(operators_run: Run, theirs: Theirs, tmp_path: Path, monkeypatch) -> Run:
    """A run whose artifacts and temporary files lie where only the operator knows."""
    places = {name: tmp_path / f"{SECRET}-{name}" for name in ("artifacts", "temporary")}
    places["temporary"].mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(places["temporary"]))
    monkeypatch.setenv("AIRCAN_ARTIFACTS", str(places["artifacts"]))
    return asked(replace(operators_run, artifacts=Artifacts(str(places["artifacts"]))), theirs)


def validating(run: Run) -> Run:
    return replace(run, dag_id="aircan_validate")


def do(run: Run) -> None:
    """Do all steps, as far as they go; then the last, which tells how it ended."""
    steps = VALIDATE if run.dag_id == "aircan_validate" else LOAD
    with suppress(errors.AircanError):
        for step in steps:
            getattr(tasks, step)(run)
    end(run)


def end(run: Run) -> None:
    with suppress(errors.AircanError):
        tasks.report(run)


def updates(theirs: Theirs) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in theirs.front.made("aircan_status_update")]


def hears_nothing_of_ours(theirs: Theirs, trap: Trap, run: Run) -> dict[str, Any]:
    """Look through all that their CKAN was sent; return the last update."""
    sent = json.dumps(
        [[call.action, call.headers, call.body.decode()] for call in theirs.front.calls]
    )
    ours = (SECRET, run.artifacts.uri, str(trap.port), "aircan_datastore", socket.gethostname())
    assert [text for text in ours if text in sent] == []
    last = updates(theirs)[-1]
    assert "artifacts" not in last["info"]
    return last


class Damaging(Artifacts):
    """Artifacts of which one is damaged as soon as it is there."""

    def __init__(self, base: str, name: str) -> None:
        super().__init__(base)
        self.name = name

    def place(self, *parts: str) -> Any:
        place = super().place(*parts)
        if Path(place.uri, self.name).exists() and parts[2] != "report":
            Path(place.uri, self.name).write_text("[]")
        return place


def artifact_damaged(name: str) -> Callable[[Run, HttpServer], Run]:
    return lambda run, _: replace(run, artifacts=Damaging(run.artifacts.uri, name))


def limited(**limits: Any) -> Callable[[Run, HttpServer], Run]:
    bounds = tasks.Limits.read(**limits)
    return lambda run, _: replace(run, settings=replace(run.settings, limits=bounds))


def of_file(content: bytes, **options: Any) -> Callable[[Run, HttpServer], Run]:
    def made(run: Run, server: HttpServer) -> Run:
        server.content = content
        return replace(run, conf=replace(run.conf, options=options))

    return made


def no_room(run: Run, server: HttpServer) -> Run:
    """Rejected rows have no place to go: a file lies where their folder should be."""
    server.content = b"a,b\n1,2\n1,2,3\n"
    folder = Path(run.artifacts.uri).with_name("x")

    class Full(Artifacts):
        def place(self, *parts: str) -> Any:
            place = super().place(*parts)
            place.put = lambda *_: (_ for _ in ()).throw(errors.RejectsNotWritten(f"no: {folder}"))
            return place

    return replace(run, artifacts=Full(run.artifacts.uri))


def nothing_to_fetch(run: Run, server: HttpServer) -> Run:
    server.failures = [404] * 100
    return run


def at_a_private_address(run: Run, _: HttpServer) -> Run:
    asked_for = {"resource_id": run.conf.resource_id, "path": "http://10.1.2.3/a.csv"}
    return replace(run, conf=replace(run.conf, resource=asked_for))


BAD_ROWS = b"a,b\n" + b"1,2\n1,2,3\n" * 3
# How a job may go: what is done to it, the type of its error, words of the last message
ENDS: dict[str, tuple[Callable[[Run, HttpServer], Run], str | None, str]] = {
    "well": (lambda run, _: run, None, "2 rows in the DataStore"),
    "rows set aside": (of_file(BAD_ROWS), None, "3 rows in the DataStore, 3 set aside"),
    "too many": (of_file(BAD_ROWS, max_bad_rows=1), "TooManyBadRows", "more than 1 rows"),
    "no table": (of_file(b"<html></html>"), "NotATable", "HTML page"),
    "no option": (of_file(CSV, encoding="x"), "UsageError", "unknown encoding 'x'"),
    "gone": (nothing_to_fetch, "SourceNotFound", "HTTP 404"),
    "private": (at_a_private_address, "AddressRefused", "not loaded from here"),
    "too large": (limited(max_bytes=7), "SourceTooLarge", "than may be loaded here"),
    "damaged": (artifact_damaged("resource.json"), "ArtifactsError", WITHHELD),
    "no report": (artifact_damaged("report.json"), "ArtifactsError", WITHHELD),
    "no room": (no_room, "RejectsNotWritten", WITHHELD),
}


@pytest.mark.parametrize("way", ["load", "validate"])
@pytest.mark.parametrize(("made", "kind", "words"), ENDS.values(), ids=ENDS)
def test_however_it_ends(run, theirs, trap, server, caplog, made, kind, words, way):
    caplog.set_level(logging.INFO)
    run = made(run, server)
    do(validating(run) if way == "validate" else run)
    last = hears_nothing_of_ours(theirs, trap, run)
    assert run.artifacts.uri in caplog.text  # the operator reads all
    if way == "load":
        assert words in last["message"]
        assert (last["info"].get("error") or {}).get("type") == kind


@pytest.mark.parametrize("done", range(len(LOAD)))
def test_a_task_that_was_killed(run, theirs, trap, done):
    for step in LOAD[:done]:
        getattr(tasks, step)(run)
    end(run)
    last = hears_nothing_of_ours(theirs, trap, run)
    assert last["message"] == f"the task {LOAD[done]} left no word"


@pytest.mark.parametrize("left", ["error.json", "report.json", "resource.json", "nothing"])
@pytest.mark.parametrize("reason", ["the run failed: it took too long", ""])
def test_the_end_that_is_told_by_the_listener(run, theirs, trap, left, reason):
    do(run)
    run.place("report").clear()
    if left != "nothing":
        Path(run.place("register").uri, left).write_text("[]")
    conf = {
        "resource": theirs.resource_id,
        "ckan_api_endpoint": run.conf.ckan_api_endpoint,
        "ckan_api_key": run.conf.ckan_api_key,
    }
    ending.tell(run, conf, reason)
    hears_nothing_of_ours(theirs, trap, run)


SETTINGS = {one.name: one for one in vars(environment).values() if isinstance(one, Setting)}


def test_all_settings_are_tried():
    assert SETTINGS.keys() | {"AIRCAN_ARTIFACTS"} == LIMITS


def dag_of(name: str) -> str:
    return "aircan_load_large" if "LARGE" in name else "aircan_load"


# What no variable takes; a schedule is none of a load's.
@pytest.mark.parametrize(
    ("name", "value", "begins_well"),
    pairwise(
        sorted(SETTINGS.keys() - {"AIRCAN_CLEANUP_SCHEDULE"}),
        [f"{SECRET}\x07", f"{SECRET}-" * 50],
        [False, True],
    ),
)
def test_a_setting_that_is_invalid(run, theirs, trap, monkeypatch, name, value, begins_well):
    dag_id = dag_of(name)
    run = replace(run, dag_id=dag_id)
    if begins_well:
        tasks.prepare(run)
    monkeypatch.setenv(name, value)
    fault = on_airflow.settings(dag_id).fault
    assert fault
    with pytest.raises(errors.UsageError, match=name):
        tasks.convert(replace(run, settings=replace(run.settings, fault=fault)))
    do(replace(run, settings=replace(run.settings, fault=fault)))
    last = hears_nothing_of_ours(theirs, trap, run)
    assert (last["status"], last["message"]) == ("FAILED", WITHHELD)
    assert name not in json.dumps(updates(theirs))
    # Who has the log reads which it is.
    assert f"{name} cannot be" in run.place("prepare").read("error.json")["message"]


def test_settings_of_the_last_task_that_are_valid_again(run, theirs, trap):
    fault = errors.UsageError(f"AIRCAN_TIMEOUT_HOURS cannot be '{SECRET}'")
    with pytest.raises(errors.UsageError):
        tasks.prepare(replace(run, settings=replace(run.settings, fault=fault)))
    end(run)
    assert hears_nothing_of_ours(theirs, trap, run)["message"] == WITHHELD


def test_why_the_operators_database_is_not_taken_is_not_told(run, theirs, trap):
    """The run was prepared when the CKAN was still the operator's connection."""
    tasks.prepare(run)
    described = run.place("prepare").read("resource.json")
    way = {"via": "api", "reason": f"{SECRET} refuses"}
    run.place("prepare").write("resource.json", described | {"aircan": described["aircan"] | way})
    for step in LOAD[1:]:
        getattr(tasks, step)(run)
    end(run)
    assert hears_nothing_of_ours(theirs, trap, run)["status"] == "DONE"


@contextmanager
def small_files() -> Iterator[None]:
    """Let nobody write a file of more than some kB, as on a disk that is nearly full."""
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))


def test_a_disk_of_the_workers_that_is_full(run, theirs, trap, server):
    server.content = b"a,b\n" + b"1,x\n" * 20_000
    tasks.prepare(run)
    with small_files(), pytest.raises(errors.SourceError, match="temporary file"):
        tasks.convert(run)
    end(run)
    last = hears_nothing_of_ours(theirs, trap, run)
    assert (last["info"]["error"]["type"], last["message"]) == ("SourceError", WITHHELD)
    assert "TMPDIR" in run.place("report").read("report.json")["error"]["hint"]
