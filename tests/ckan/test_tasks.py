"""The steps of a load as a DAG runs them, with a real CKAN and its DataStore, without Airflow."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from cases import in_turn
from frictionless import Package, Resource
from http_server import HttpServer
from loads import rows, sql
from portal import PASSWORD, Portal
from unsteady import Unsteady, count_refused

from loader import errors
from loader.copy import database, locks, relation, resource_lock, shadow, slots
from loader.factory import conf, selection, tasks
from loader.factory.artifacts import Artifacts
from loader.factory.cleanup import clean_up
from loader.factory.connections import NoConnection
from loader.factory.failed import last_failed
from loader.factory.run import ERROR, REPORT, Run, Settings
from loader.net.limits import Limits
from loader.report import TABLE_STATES
from loader.types.column import Column

STEPS = ("prepare", "convert", "load", "register")
CSV = "id,name,when\n1,Straße,2020-02-29\n2,,1999-01-01\n3,x y,2001-01-01\n"


def heard(handler: Any, call: Any) -> None:
    content = b'{"success": true, "result": {}}'
    handler.answer(200, content, {"Content-Type": "application/json"})


def refuses(handler: Any, call: Any) -> None:
    error = {"__type": "Validation Error", "message": "a map needs when"}
    content = json.dumps({"success": False, "error": error}).encode()
    handler.answer(409, content, {"Content-Type": "application/json"})


def away(handler: Any, call: Any) -> None:
    handler.answer(503, b"", {})


@pytest.fixture
def front(portal_212: Portal) -> Iterator[Unsteady]:
    """CKAN, with somebody who takes the statuses that it has no action for yet."""
    with Unsteady(portal_212.url) as front:
        front.faults = {"aircan_status_update": [heard] * 1000}
        yield front


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(CSV.encode()) as server:
        yield server


@dataclass
class Connection:
    """What Airflow gives."""

    conn_id: str
    conn_type: str
    host: str
    port: int | None = None
    login: str | None = None
    password: str | None = None
    schema: str | None = None

    @property
    def extra_dejson(self) -> dict[str, Any]:
        return {}


def connections(portal: Portal, front: Unsteady) -> dict[str, Connection]:
    database = urlsplit(portal.datastore_url)
    return {
        "aircan_ckan": Connection("aircan_ckan", "http", front.url, password=portal.token),
        "aircan_datastore": Connection(
            "aircan_datastore",
            "postgres",
            database.hostname or dict(p.split("=") for p in database.query.split("&"))["host"],
            database.port or 5432,
            database.username,
            database.password,
            database.path[1:],
        ),
    }


@pytest.fixture
def run(portal_212: Portal, front: Unsteady, server: HttpServer, tmp_path: Path) -> Run:
    """A run that loads the server's file into a new resource."""
    known = connections(portal_212, front)

    def connection(conn_id: str) -> Connection:
        if conn_id not in known:
            raise NoConnection(conn_id)
        return known[conn_id]

    resource_id = portal_212.new_resource(server.url)["id"]
    return Run(
        "aircan_load",
        "manual__2026-01-01T00:00:00+00:00",
        Artifacts(str(tmp_path / "artifacts")),
        connection,
        Settings(allowed_hosts=f"127.0.0.1:{server.port}"),
        conf=conf.read({"resource": {"resource_id": resource_id}, "job_id": "job-1"}),
    )


def through_api(run: Run) -> Run:
    return replace(run, conf=replace(run.conf, datastore_conn_id=None))


def do_all(run: Run, steps: tuple[str, ...] = STEPS) -> None:
    for step in steps:
        getattr(tasks, step)(run)
    tasks.report(run)


# of the conf and of the operators: what the reader is told
ENCODINGS = {
    "nobody names one": ({}, None, None),
    "the operators": ({}, "cp1250", "cp1250"),
    "the conf": ({"default_encoding": "cp1255"}, None, "cp1255"),
    "both": ({"default_encoding": "cp1255"}, "cp1250", "cp1255"),
}


@pytest.mark.parametrize(
    ("options", "setting", "expected"), ENCODINGS.values(), ids=ENCODINGS.keys()
)
def test_the_encoding_for_those_in_doubt(run, options, setting, expected):
    settings = replace(run.settings, default_encoding=setting)
    run = replace(run, settings=settings, conf=replace(run.conf, options=options))
    with run.ckan() as ckan:
        read = tasks._options(run, ckan, {"aircan": {"dataset": "d"}}).reading
    assert read.default_encoding == expected


def test_what_a_conf_says_of_a_file_comes_to_its_reader(run):
    said = {"types": "strict", "dates": "dmy", "missing": "auto", "strip": True}
    run = replace(run, conf=replace(run.conf, options={**said, "keep_types": True}))
    with run.ckan() as ckan:
        options = tasks._options(run, ckan, {"aircan": {"dataset": "d"}})
    read = {"local_forms": False, "dates": "dmy", "nulls_signs": True, "strip": True}
    assert {name: getattr(options.reading, name) for name in read} == read
    assert options.keep_types is True


def told(front: Unsteady) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in front.made("aircan_status_update")]


@pytest.mark.parametrize("way", ["copy", "api"])
def test_a_run_loads_the_file_and_ckan_shows_it(portal_212, run, way):
    run = run if way == "copy" else through_api(run)
    do_all(run)
    resource_id = run.conf.resource_id
    assert rows(portal_212, resource_id) == [
        ("1", "Straße", "2020-02-29"),
        ("2", None, "1999-01-01"),
        ("3", "x y", "2001-01-01"),
    ]
    shown = portal_212.action("resource_show", id=resource_id)
    assert shown["datastore_active"] is True
    assert shown["hash"]
    assert portal_212.search(resource_id, q="straße")["total"] == 1
    report = run.place("report").read("report.json")
    assert (report["error"], report["rows"], report["via"]) == (None, 3, way)


def test_the_steps_leave_frictionless_descriptors(run, server):
    do_all(run)
    resource = run.place("prepare").read("resource.json")
    assert (resource["name"], resource["path"]) == ("data.csv", server.url)
    assert resource["resource_id"] == run.conf.resource_id
    told = resource["aircan"]
    dataset = {"dataset": resource["package_id"], "file": told["file"]}
    assert told == {"via": "copy", "reason": "", **dataset}
    dataset = run.place("prepare").read("dataset.json")
    assert dataset["resources"][0]["path"] == server.url
    Resource.from_descriptor(resource)
    Package.from_descriptor(dataset)


def test_ckan_hears_of_every_step_and_of_the_end(run, front):
    do_all(run)
    updates = told(front)
    assert {update["job_id"] for update in updates} == {"job-1"}
    assert [u["sequence"] for u in updates] == sorted({u["sequence"] for u in updates})
    assert {u["status"] for u in updates[:-1]} == {"RUNNING"}
    assert updates[0]["step"] == "prepare"
    assert {"prepare", "load", "register", "report"} <= {u["step"] for u in updates}
    last = updates[-1]
    assert (last["status"], last["message"]) == ("DONE", "3 rows in the DataStore")
    assert last["info"]["rows"] == 3
    assert last["info"]["artifacts"]["report.json"].endswith("/register/report.json")


@pytest.mark.parametrize("way", ["copy", "api"])
@pytest.mark.parametrize("again", [*STEPS, "all"])
def test_a_step_done_again_gives_the_same_table(portal_212, run, way, again):
    run = run if way == "copy" else through_api(run)
    do_all(run)
    resource_id = run.conf.resource_id
    before = rows(portal_212, resource_id)
    begin = 0 if again == "all" else STEPS.index(again)
    do_all(run, STEPS) if again == "all" else [getattr(tasks, s)(run) for s in STEPS[begin:]]
    tasks.report(run)
    assert rows(portal_212, resource_id) == before
    assert portal_212.search(resource_id)["total"] == 3


def test_the_rows_written_down_are_sent_without_the_source(portal_212, run, server):
    run = through_api(run)
    tasks.prepare(run)
    tasks.convert(run)
    server.failures = [404] * 100
    for step in ("load", "register"):
        getattr(tasks, step)(run)
    assert len(rows(portal_212, run.conf.resource_id)) == 3


LIKE_URLS = [
    "u:hunter2@h.example/x.csv",
    "hunter2@h.example/x.csv",
    "//u:hunter2@h.example/x.csv",
    "h.example/x.csv?token=hunter2",
    "h.example/x.csv?hunter2",
    "http://127.0.0.1:9/x.csv?format=hunter2",
    "http://u:hunter2@h.invalid/x.csv?version=hunter2",
]


@pytest.mark.parametrize("path", LIKE_URLS)
def test_no_status_and_no_artifact_has_a_secret(run, front, tmp_path, caplog, path):
    caplog.set_level("DEBUG")
    asked_for = {"resource_id": run.conf.resource_id, "path": path}
    run = replace(run, conf=replace(run.conf, resource=asked_for))
    with suppress(errors.AircanError):
        do_all(run)
    with suppress(errors.AircanError):
        tasks.report(run)
    left = [file.read_text() for file in (tmp_path / "artifacts").rglob("*") if file.is_file()]
    assert any("error" in text for text in left)
    assert told(front)[-1]["status"] == "FAILED"
    said = [call.body.decode() for call in front.made("aircan_status_update")]
    assert "hunter2" not in "".join([*left, *said, caplog.text])


@pytest.mark.parametrize("step", ["load", "convert"])
def test_without_a_place_for_temporary_files_a_step_ends_with_a_hint(
    portal_212, run, tmp_path, monkeypatch, step
):
    run = run if step == "load" else through_api(run)
    for before in STEPS[: STEPS.index(step)]:
        getattr(tasks, before)(run)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(errors.RejectsNotWritten, match="there is no folder") as caught:
        getattr(tasks, step)(run)
    assert "TMPDIR" in caught.value.hint
    assert caught.value.of_machine
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    do_all(run, STEPS[STEPS.index(step) :])
    assert len(rows(portal_212, run.conf.resource_id)) == 3


@pytest.mark.parametrize("way", ["copy", "api"])
def test_rows_are_added_once_however_often_the_run_is_done_again(portal_212, run, way):
    run = run if way == "copy" else through_api(run)
    do_all(run)
    adding = replace(run, run_id="second", conf=replace(run.conf, mode="append"))
    for _ in range(3):
        do_all(adding)
    assert len(rows(portal_212, run.conf.resource_id)) == 6


def test_rows_that_came_between_two_tries_of_an_append_stop_it(portal_212, run):
    do_all(run)
    adding = replace(run, run_id="second", conf=replace(run.conf, mode="append"))
    tasks.prepare(adding)
    tasks.convert(adding)
    adding.place("added").write("begun.json", {"newest_id": 1})
    with pytest.raises(errors.RowsInDoubt, match="above 1"):
        tasks.load(adding)
    assert len(rows(portal_212, run.conf.resource_id)) == 3


def test_rows_of_a_killed_try_that_ckan_still_adds_are_waited_for(portal_212, run, monkeypatch):
    run = through_api(run)
    do_all(run)
    resource_id = run.conf.resource_id
    adding = replace(run, run_id="second", conf=replace(run.conf, mode="append"))
    tasks.prepare(adding)
    tasks.convert(adding)
    adding.place("added").write("begun.json", {"newest_id": 3})
    late = {"id": 4, "name": "late", "when": "2020-01-01"}
    insert = {"resource_id": resource_id, "method": "insert", "records": [late], "force": True}
    timer = threading.Timer(1, lambda: portal_212.action("datastore_upsert", **insert))
    timer.start()
    with pytest.raises(errors.RowsInDoubt, match="above 3"):
        tasks.load(adding)
    timer.join()
    assert len(rows(portal_212, resource_id)) == 4


def test_a_load_that_failed_at_once_is_one_that_failed(portal_212, run):
    missing = replace(run.conf, resource={"resource_id": "no-such-resource"})
    with pytest.raises(errors.CkanNotFound):
        tasks.prepare(replace(run, conf=missing))
    with pytest.raises(errors.StepFailed):
        tasks.report(replace(run, conf=missing))
    assert last_failed(run.artifacts, ["aircan_load"]) == ["no-such-resource"]


def test_the_steps_tell_what_they_do(run, front):
    do_all(through_api(run))
    steps = [update["step"] for update in told(front)]
    assert list(dict.fromkeys(steps)) == ["prepare", "convert", "load", "register", "report"]


def test_a_value_that_does_not_fit_is_told_with_its_place(portal_212, run, front, server):
    do_all(run)
    server.content = b"id,name,when\n1,a,2020-01-01\n2,b,soon\n"
    schema = {"fields": [{"name": "when", "type": "date"}]}
    resource = {"resource_id": run.conf.resource_id, "schema": schema}
    broken = replace(run, run_id="second", conf=replace(run.conf, resource=resource))
    tasks.prepare(broken)
    tasks.convert(broken)
    with pytest.raises(errors.ValueDoesNotFit):
        tasks.load(broken)
    with pytest.raises(errors.StepFailed, match="soon"):
        tasks.report(broken)
    last = told(front)[-1]
    assert (last["status"], last["step"]) == ("FAILED", "load")
    error = last["info"]["error"]
    assert (error["row"], error["column"], error["value"]) == (3, "when", "soon")
    assert len(rows(portal_212, run.conf.resource_id)) == 3


def test_rejected_rows_are_an_artifact(run, server):
    server.content = b"a,b\n1,2\n3,4,5\n"
    do_all(run)
    report = run.place("report").read("report.json")
    assert report["bad_rows"]["rejected"] == 1
    with run.place("load").opened("rejects.csv") as rejects:
        assert b"3,4,5" in rejects.read()
    assert report["bad_rows"]["rejects"] == f"{run.place('load').uri}/rejects.csv"


def test_a_step_that_left_no_word_is_told_as_failed(run, front):
    tasks.prepare(run)
    tasks.convert(run)
    with pytest.raises(errors.StepFailed, match="load left no word"):
        tasks.report(run)
    assert told(front)[-1]["status"] == "FAILED"


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_a_run_that_has_ended_tells_nothing_and_does_nothing(run, front, step):
    for done in STEPS[: STEPS.index(step)]:
        getattr(tasks, done)(run)
    run.place("report").write(REPORT, {"error": None})
    before = told(front)
    with pytest.raises(errors.StepFailed, match="the run has ended"):
        getattr(tasks, step)(replace(run, is_going=lambda: False))
    assert told(front) == before
    assert run.place("report").exists(REPORT)
    ended_meanwhile = iter((True, False))
    with pytest.raises(errors.StepFailed, match="the run has ended"):
        getattr(tasks, step)(replace(run, is_going=lambda: next(ended_meanwhile)))
    assert told(front) == before
    assert not run.place(step).exists(ERROR)


@pytest.mark.parametrize("killed", ["convert", "load", "register"])
def test_a_step_that_is_killed_the_second_time_is_not_told_as_done(run, front, killed):
    run = through_api(run)
    do_all(run)
    for step in STEPS[: STEPS.index(killed)]:
        getattr(tasks, step)(run)
    run.place(killed).clear()  # the first that a step does, and all that one leaves that is killed
    with pytest.raises(errors.StepFailed, match="left no word"):
        tasks.report(run)
    assert told(front)[-1]["status"] == "FAILED"


def test_what_was_prepared_for_another_resource_is_not_loaded(portal_212, run):
    run = through_api(run)
    tasks.prepare(run)
    tasks.convert(run)
    other = portal_212.new_resource(run.conf.resource.get("path") or "http://example.org/a.csv")
    run = replace(run, conf=replace(run.conf, resource={"resource_id": other["id"]}))
    with pytest.raises(errors.ArtifactsError, match=f"not {other['id']}") as refused:
        tasks.load(run)
    assert refused.value.hint == "clear the task prepare and those after it"


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_resource_whose_id_another_dataset_has_taken_is_not_loaded(portal_212, run, step):
    if step == "convert":
        run = through_api(run)
    steps = {name: getattr(tasks, name) for name in STEPS}
    for name in STEPS[: STEPS.index(step)]:
        steps[name](run)
    resource_id = run.conf.resource_id
    shown = portal_212.action("resource_show", id=resource_id)
    portal_212.action("package_patch", id=shown["package_id"], resources=[])
    public = portal_212.new_dataset()["id"]
    portal_212.action(
        "resource_create", package_id=public, id=resource_id, url=shown["url"], format="CSV"
    )
    with pytest.raises(errors.CkanNotFound, match="deleted"):
        steps[step](run)
    assert not sql(portal_212, "SELECT to_regclass(quote_ident(%s)) IS NOT NULL", resource_id)[0][0]


def test_rows_written_down_of_another_file_are_not_sent(portal_212, run, server):
    run = through_api(run)
    tasks.prepare(run)
    tasks.convert(run)
    portal_212.action("resource_patch", id=run.conf.resource_id, url=f"{server.url}?v=2")
    tasks.prepare(run)
    with pytest.raises(errors.ArtifactsError, match=r"not of .*\?v=\*\*\*"):
        tasks.load(run)


def test_artifacts_that_cannot_be_left_are_told(run, front, tmp_path):
    (tmp_path / "artifacts").write_text("a file")
    with pytest.raises(errors.ArtifactsError):
        tasks.prepare(run)
    with pytest.raises(errors.ArtifactsError):
        tasks.report(run)
    last = told(front)[-1]
    assert (last["status"], last["step"]) == ("FAILED", "report")


def test_an_error_that_cannot_be_left_is_the_one_raised(run, server, tmp_path):
    tasks.prepare(run)
    tasks.convert(run)
    server.failures = [404] * 10
    server.requests.clear()
    folder = tmp_path / "artifacts" / "aircan_load"
    run = replace(run, artifacts=FullArtifacts(str(folder.parent)))
    with pytest.raises(errors.SourceNotFound):
        tasks.load(run)


LEFT = {"prepare": "resource.json", "convert": "resource.json"}  # by others: report.json
OLD_ERROR = {"type": "SourceError", "message": "of the first try", "hint": None}


class Lasting(Artifacts):
    """What cannot be deleted: clearing a place leaves these files of it as they were."""

    def __init__(self, base: str, *names: str) -> None:
        super().__init__(base)
        self.names = names

    def place(self, *parts: str) -> Any:
        place = super().place(*parts)
        clear, folder = place.clear, Path(place.uri)

        def spare() -> None:
            kept = {n: folder / n for n in self.names if (folder / n).exists()}
            kept = {name: (path.read_bytes(), path.stat()) for name, path in kept.items()}
            clear()
            for name, (content, status) in kept.items():
                folder.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
                os.utime(folder / name, ns=(status.st_atime_ns, status.st_mtime_ns))

        place.clear = spare
        return place


class TestTries:
    """The end that is told is that of the last try, whatever the earlier ones have left."""

    @pytest.fixture(params=["copy", "api"])
    def run(self, run: Run, request: pytest.FixtureRequest) -> Run:
        return run if request.param == "copy" else through_api(run)

    @staticmethod
    def end(run: Run, front: Unsteady) -> tuple[str, str, str]:
        with suppress(errors.StepFailed):
            tasks.report(run)
        last = told(front)[-1]
        return last["status"], last["step"], last["message"]

    @pytest.mark.parametrize("step", STEPS)
    def test_a_try_that_succeeds_beside_an_old_error(self, run, front, tmp_path, step):
        run = replace(run, artifacts=Lasting(str(tmp_path / "artifacts"), "error.json"))
        for one in STEPS[: STEPS.index(step)]:
            getattr(tasks, one)(run)
        run.place(step).write("error.json", OLD_ERROR)
        for one in STEPS[STEPS.index(step) :]:
            getattr(tasks, one)(run)
        assert run.place(step).exists("error.json")
        assert self.end(run, front) == ("DONE", "report", "3 rows in the DataStore")

    @pytest.mark.parametrize("step", STEPS)
    def test_a_try_that_fails_beside_what_an_old_one_left(self, run, front, tmp_path, step):
        names = (LEFT.get(step, "report.json"),)
        run = replace(run, artifacts=Lasting(str(tmp_path / "artifacts"), *names))
        for one in STEPS:
            getattr(tasks, one)(run)
        fault = errors.UsageError("of the second try")
        failing = replace(run, settings=replace(run.settings, fault=fault))
        with pytest.raises(errors.UsageError):
            getattr(tasks, step)(failing)
        assert run.place(step).exists(names[0])
        assert self.end(run, front) == ("FAILED", step, "of the second try")
        for one in STEPS[STEPS.index(step) :]:
            getattr(tasks, one)(run)
        assert self.end(run, front)[0] == "DONE"

    @pytest.mark.parametrize(("again", "lost"), list(itertools.combinations(STEPS, 2)))
    def test_a_step_that_did_not_follow_one_that_was_done_again(self, run, front, again, lost):
        """It was killed before it began: what lies there is of the try before."""
        for one in STEPS:
            getattr(tasks, one)(run)
        for one in STEPS[STEPS.index(again) : STEPS.index(lost)]:
            getattr(tasks, one)(run)
        status, step, message = self.end(run, front)
        assert (status, step) == ("FAILED", lost)
        assert message.endswith(f"was done again, and {lost} left no word since")

    def test_a_report_of_another_resource_is_not_told(self, run, front):
        for one in STEPS:
            getattr(tasks, one)(run)
        for step in ("load", "register"):
            place = run.place(step)
            place.write("report.json", place.read("report.json") | {"resource_id": "another"})
        with pytest.raises(errors.ArtifactsError, match="is of the resource another"):
            tasks.register(run)
        assert self.end(run, front)[0] == "FAILED"

    @pytest.mark.parametrize("step", STEPS)
    def test_a_try_that_cannot_clear_what_an_old_one_left(self, run, front, tmp_path, step):
        for one in STEPS:
            getattr(tasks, one)(run)
        full = replace(run, artifacts=Undeletable(str(tmp_path / "artifacts"), step))
        with pytest.raises(errors.ArtifactsError, match="permission denied"):
            getattr(tasks, step)(full)
        assert self.end(run, front)[:2] == ("FAILED", step)

    def test_a_load_that_fails_and_cannot_leave_its_error(self, run, front, server, tmp_path):
        if run.conf.datastore_conn_id is None:
            return  # convert reads the file then: the next test
        tasks.prepare(run)
        tasks.convert(run)
        server.content = b"a,b\n" + b"1,2,3\n" * 2000
        full = replace(run, artifacts=FullArtifacts(str(tmp_path / "artifacts")))
        with pytest.raises(errors.TooManyBadRows):
            tasks.load(full)
        status, step, message = self.end(run, front)
        assert (status, step) == ("FAILED", "load")
        assert "left no word" not in message
        assert told(front)[-1]["info"]["error"]["type"] == "TooManyBadRows"

    def test_a_conversion_that_fails_and_cannot_leave_its_error(
        self, portal_212, run, front, server, tmp_path
    ):
        run = through_api(run)
        tasks.prepare(run)
        server.content = b"a,b\n" + b"1,2,3\n" * 2000
        full = replace(run, artifacts=FullArtifacts(str(tmp_path / "artifacts")))
        with pytest.raises(errors.TooManyBadRows):
            tasks.convert(full)
        assert self.end(run, front)[:2] == ("FAILED", "convert")
        assert told(front)[-1]["info"]["error"]["type"] == "TooManyBadRows"

    def test_rows_that_were_added_before_are_told_as_added(self, portal_212, run, front):
        """The first try has added them, and failed after that."""
        do_all(run)
        adding = replace(run, run_id="second", conf=replace(run.conf, mode="append"))
        for step in STEPS[:3]:
            getattr(tasks, step)(adding)
        adding.place("load").write("error.json", OLD_ERROR)
        assert self.end(adding, front)[0] == "FAILED"
        tasks.load(adding)
        tasks.register(adding)
        assert self.end(adding, front)[0] == "DONE"
        assert len(rows(portal_212, run.conf.resource_id)) == 6

    def test_a_validation_beside_an_old_error(self, run, front, tmp_path):
        lasting = Lasting(str(tmp_path / "artifacts"), "error.json")
        run = replace(run, dag_id="aircan_validate", artifacts=lasting)
        for place in ("prepare", "validate"):
            run.place(place).write("error.json", OLD_ERROR)
        tasks.look_up(run)
        tasks.validate(run)
        assert self.end(run, front) == ("DONE", "report", "every row is valid")

    @pytest.mark.parametrize("content", [None, [], "x", {}, {"rows": 1}, {"rows": "a"}])
    def test_a_report_that_is_none_is_told_as_a_failure(self, run, front, content):
        for step in STEPS:
            getattr(tasks, step)(run)
        run.place("register").write("report.json", content)
        with pytest.raises(errors.ArtifactsError, match="is damaged"):
            tasks.report(run)
        assert told(front)[-1]["status"] == "FAILED"


class Undeletable(Artifacts):
    """A store in which the account may not delete what is in one step's place."""

    def __init__(self, base: str, step: str) -> None:
        super().__init__(base)
        self.step = step

    def place(self, *parts: str) -> Any:
        place = super().place(*parts)
        if parts[2] == self.step:

            def refuse() -> None:
                raise errors.ArtifactsError(f"{place.uri}: permission denied")

            place.clear = refuse
        return place


class TestSettings:
    """What is wrong with the operators' settings."""

    FAULT = errors.UsageError("AIRCAN_TIMEOUT_HOURS cannot be 'x'", hint="a number of hours")

    @pytest.mark.parametrize("step", STEPS)
    def test_each_step_fails_with_it_and_ckan_is_told(self, run, front, step):
        for done in STEPS[: STEPS.index(step)]:
            getattr(tasks, done)(run)
        wrong = replace(run, settings=replace(run.settings, fault=self.FAULT))
        with pytest.raises(errors.UsageError, match="AIRCAN_TIMEOUT_HOURS"):
            getattr(tasks, step)(wrong)
        with pytest.raises(errors.StepFailed, match="AIRCAN_TIMEOUT_HOURS cannot be 'x'"):
            tasks.report(wrong)
        last = told(front)[-1]
        assert (last["status"], last["step"], last["message"]) == ("FAILED", step, str(self.FAULT))

    def test_what_was_done_before_is_told_as_done(self, run, front):
        for step in STEPS:
            getattr(tasks, step)(run)
        with pytest.raises(errors.UsageError, match="AIRCAN_TIMEOUT_HOURS"):
            tasks.report(replace(run, settings=replace(run.settings, fault=self.FAULT)))
        assert told(front)[-1]["status"] == "DONE"

    @pytest.mark.parametrize("step", ["look_up", "validate"])
    def test_of_a_validation_too(self, run, front, step):
        run = replace(run, dag_id="aircan_validate")
        if step == "validate":
            tasks.look_up(run)
        wrong = replace(run, settings=replace(run.settings, fault=self.FAULT))
        with pytest.raises(errors.UsageError):
            getattr(tasks, step)(wrong)
        with pytest.raises(errors.StepFailed):
            tasks.report(wrong)
        assert told(front)[-1]["message"] == str(self.FAULT)


class FullArtifacts(Artifacts):
    """A disk on which there is no room for an error."""

    def place(self, *parts: str) -> Any:
        place = super().place(*parts)
        write = place.write

        def refuse(name: str, value: Any) -> None:
            if name == "error.json":
                raise errors.ArtifactsError("No space left on device")
            write(name, value)

        place.write = refuse
        return place


def test_of_all_that_failed_a_resource_that_is_gone_is_left_out(portal_212, run, server):
    other = portal_212.new_resource(server.url)
    server.failures = [404] * 100
    for number, resource_id in enumerate((run.conf.resource_id, other["id"])):
        one = conf.read({"resource": {"resource_id": resource_id}})
        failing = replace(run, run_id=str(number), conf=one)
        with pytest.raises(errors.StepFailed):
            try_all(failing)
    portal_212.action("resource_delete", id=other["id"])
    again = replace(run, dag_id="aircan_reload", conf=conf.read_without_resource({}))
    assert selection.select(again, "failed", lambda *_: False) == [0]
    assert selection.all_selected(again) == [run.conf.resource_id]


def try_all(run: Run) -> None:
    tasks.prepare(run)
    tasks.convert(run)
    with pytest.raises(errors.AircanError):
        tasks.load(run)
    tasks.report(run)


def test_a_ckan_that_cannot_hear_fails_no_load(portal_212, run, front, caplog):
    front.faults = {}  # the real CKAN has no such action
    do_all(run)
    assert len(rows(portal_212, run.conf.resource_id)) == 3
    assert "CKAN was not told of the job's status" in caplog.text


def test_the_end_is_told_to_a_ckan_that_was_away_for_some_seconds(run, front):
    for step in STEPS:
        getattr(tasks, step)(run)
    before = len(told(front))
    front.faults["aircan_status_update"] = [away] * 3 + [heard]
    tasks.report(run)
    assert [update["status"] for update in told(front)[before:]] == ["DONE"] * 4


def test_a_private_address_is_refused(portal_212, run, server):
    run = replace(run, settings=Settings())
    tasks.prepare(run)
    tasks.convert(run)
    with pytest.raises(errors.AddressRefused, match=r"127\.0\.0\.1"):
        tasks.load(run)
    assert not server.requests


# What the operators set, what a conf asks for, and whether a file of 37 bytes is too large then.
LIMITED = {
    "neither": (Limits(), {}, False),
    "the conf": (Limits(), {"max_bytes": 36}, True),
    "the conf, with a unit": (Limits(), {"max_bytes": "0.036KB"}, True),
    "the operators": (Limits(max_bytes=36), {}, True),
    "a conf that is looser": (Limits(max_bytes=36), {"max_bytes": "1TiB"}, True),
    "a conf that is tighter": (Limits(max_bytes=10**6), {"max_bytes": 36}, True),
    "both, and it fits": (Limits(max_bytes=10**6), {"max_bytes": 1000}, False),
}


@pytest.mark.parametrize(("kind", "way"), in_turn([*LIMITED], ["copy", "api"]))
def test_a_conf_makes_the_limits_tighter_and_never_looser(portal_212, run, server, kind, way):
    bound, options, refused = LIMITED[kind]
    run = run if way == "copy" else through_api(run)
    run = replace(
        run,
        settings=replace(run.settings, limits=bound),
        conf=replace(run.conf, options=options),
    )
    assert len(server.content) > 36
    if not refused:
        do_all(run)
        assert len(rows(portal_212, run.conf.resource_id)) == 3
        return
    with pytest.raises(errors.SourceTooLarge, match="36 are allowed"):
        do_all(run)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"max_bytes": "many"}, "max_bytes"), ({"max_ratio": "x"}, "max_ratio")],
)
def test_a_limit_of_the_conf_that_is_none_is_told_before_anything_is_fetched(
    run, server, options, message
):
    run = replace(run, conf=replace(run.conf, options=options))
    with pytest.raises(errors.UsageError, match=f"{message} cannot be"):
        tasks.prepare(run)
    assert not server.requests


@pytest.mark.parametrize("path", ["/etc/passwd", "file:///etc/passwd", "ftp://example.org/a.csv"])
def test_only_web_servers_and_buckets_are_fetched_from(run, path):
    resource = {"resource_id": run.conf.resource_id, "path": path}
    run = replace(run, conf=replace(run.conf, resource=resource))
    with pytest.raises(errors.AddressRefused, match="is at none of http, https, gs"):
        do_all(run)


@pytest.mark.parametrize(("size", "waits"), [("10", False), ("2000", True)])
def test_a_huge_file_leaves_the_last_slot_to_smaller_ones(portal_212, run, size, waits):
    run = replace(run, settings=replace(run.settings, max_loads=2, huge_bytes=1000))
    portal_212.action("resource_patch", id=run.conf.resource_id, size=size)
    tasks.prepare(run)
    tasks.convert(run)
    with closing(psycopg.connect(portal_212.datastore_url)) as other:
        slots.take(other, 1)
        if waits:
            with pytest.raises(errors.TooManyLoads):
                tasks.load(run)
        else:
            tasks.load(run)
    name = f'"{run.conf.resource_id}"'
    assert (sql(portal_212, "SELECT to_regclass(%s)", name) == [(None,)]) is waits


@pytest.mark.parametrize("conn_id", ["not_there", None])
def test_without_a_database_connection_rows_go_through_the_api(
    portal_212, run, conn_id, monkeypatch
):
    monkeypatch.setenv("AIRCAN_DATASTORE_URL", portal_212.datastore_url)  # of the worker: not asked
    run = replace(run, conf=replace(run.conf, datastore_conn_id=conn_id))
    do_all(run)
    report = run.place("report").read("report.json")
    reason = "the DataStore's database is not named"
    assert report["via"] == "api"
    assert report["warnings"] == [f"loaded through CKAN's API, since {reason}"]
    assert run.place("prepare").read("resource.json")["aircan"]["reason"] == reason


def test_who_asks_for_the_api_is_not_warned_of_it(run):
    asked = {**run.conf.options, "via": "api"}
    do_all(replace(run, conf=replace(run.conf, options=asked)))
    assert run.place("report").read("report.json")["warnings"] == []


def test_a_database_that_cannot_be_reached_is_tried_again_later(portal_212, front, run):
    known = connections(portal_212, front)
    known["aircan_datastore"].port = 1
    known["aircan_datastore"].host = "127.0.0.1"
    with pytest.raises(errors.DatabaseUnreachable) as refused:
        tasks.prepare(replace(run, connection=known.__getitem__))
    assert refused.value.retryable
    tasks.prepare(run)
    found = run.place("prepare").read("resource.json")["aircan"]
    assert (found["via"], found["reason"]) == ("copy", "")


def test_a_database_that_refuses_the_user_is_the_reason_for_the_api(portal_212, front, run):
    known = connections(portal_212, front)
    known["aircan_datastore"].login = "nobody_here"
    run = replace(run, connection=known.__getitem__)
    do_all(run)
    aircan = run.place("prepare").read("resource.json")["aircan"]
    assert aircan["via"] == "api"
    assert "nobody_here" in aircan["reason"]
    warnings = run.place("report").read("report.json")["warnings"]
    assert warnings == [f"loaded through CKAN's API, since {aircan['reason']}"]


def at(run: Run, server: HttpServer, query: str) -> Run:
    resource = {"resource_id": run.conf.resource_id, "path": f"{server.url}?{query}"}
    return replace(run, conf=replace(run.conf, resource=resource))


@pytest.mark.parametrize(
    ("query", "way"), in_turn(["id=2", "pass=1", "id=1&more=1", "1"], ["copy", "api"])
)
def test_another_file_is_noticed_though_its_url_looks_the_same_masked(run, server, way, query):
    run = run if way == "copy" else through_api(run)
    tasks.prepare(at(run, server, "id=1"))
    assert "id=1" not in json.dumps(run.place("prepare").read("resource.json"))
    later = at(run, server, query)
    with pytest.raises(errors.UsageError, match="no longer at") as refused:
        (tasks.load if way == "copy" else tasks.convert)(later)
    assert "clear the task prepare" in refused.value.hint
    assert not server.requests


def test_rows_of_a_url_that_looks_the_same_are_not_sent(run, server):
    run = through_api(run)
    tasks.prepare(at(run, server, "id=1"))
    tasks.convert(at(run, server, "id=1"))
    tasks.prepare(at(run, server, "id=2"))
    with pytest.raises(errors.ArtifactsError, match="the rows written down are of"):
        tasks.load(at(run, server, "id=2"))


@pytest.mark.parametrize("way", ["copy", "api"])
def test_a_url_that_is_signed_anew_is_the_same_file(portal_212, run, server, way):
    run = run if way == "copy" else through_api(run)
    for number, step in enumerate(STEPS):
        getattr(tasks, step)(at(run, server, f"id=1&X-Amz-Signature={number}&Expires={number}"))
    assert len(rows(portal_212, run.conf.resource_id)) == 3


class TestBetweenTheTasks:
    """The load begins with `convert`: what others do until the rows are sent is noticed."""

    COUNTS = (1, 200)

    @staticmethod
    def again(run: Run, policy: str, mode: str = "replace") -> Run:
        """Return another run of a resource that has been loaded."""
        do_all(run)
        keys = ["id"] if mode == "upsert" else []
        given = {"options": {"on_concurrent_writes": policy}, "mode": mode, "unique_keys": keys}
        return replace(run, run_id="second", conf=replace(run.conf, **given))

    @staticmethod
    def insert(portal: Portal, resource_id: str, count: int) -> None:
        records = [{"id": 10 + i, "name": "theirs", "when": "2020-01-01"} for i in range(count)]
        data = {"resource_id": resource_id, "method": "insert", "records": records}
        portal.action("datastore_upsert", force=True, **data)

    @pytest.mark.parametrize("count", COUNTS)
    @pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
    def test_rows_that_others_insert(self, portal_212, run, policy, count):
        second = self.again(through_api(run), policy)
        tasks.prepare(second)
        tasks.convert(second)
        self.insert(portal_212, run.conf.resource_id, count)
        if policy == "warn":
            tasks.load(second)
            said = f"others changed the old table during the load: {count} rows inserted"
            assert said in second.place("load").read("report.json")["warnings"]
            assert len(rows(portal_212, run.conf.resource_id)) == 3
            return
        for _ in range(2):  # also when it is tried again
            with pytest.raises(errors.TableChanged, match=f"{count} rows inserted") as refused:
                tasks.load(second)
            assert refused.value.hint.endswith("clear the task convert and those after it")
        assert len(rows(portal_212, run.conf.resource_id)) == 3 + count
        tasks.convert(second)
        tasks.load(second)
        assert len(rows(portal_212, run.conf.resource_id)) == 3

    @pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
    def test_a_table_that_others_make(self, portal_212, run, policy):
        run = through_api(run)
        conf = replace(run.conf, options={"on_concurrent_writes": policy})
        run = replace(run, conf=conf)
        tasks.prepare(run)
        tasks.convert(run)
        fields = [{"id": "id", "type": "int8"}]
        made = {"resource_id": conf.resource_id, "fields": fields, "records": [{"id": 1}]}
        portal_212.action("datastore_create", force=True, **made)
        if policy == "warn":
            tasks.load(run)
            assert len(rows(portal_212, conf.resource_id)) == 3
        else:
            with pytest.raises(errors.TableChanged, match="1 rows inserted"):
                tasks.load(run)
            assert len(rows(portal_212, conf.resource_id)) == 1

    @pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
    def test_a_table_that_others_drop(self, portal_212, run, policy):
        second = self.again(through_api(run), policy)
        tasks.prepare(second)
        tasks.convert(second)
        portal_212.action("datastore_delete", resource_id=run.conf.resource_id, force=True)
        if policy == "refuse":
            with pytest.raises(errors.TableChanged, match="the table was dropped"):
                tasks.load(second)
            assert not has_table(portal_212, run.conf.resource_id)
        else:
            tasks.load(second)
            said = "others dropped the old table during the load"
            assert said in second.place("load").read("report.json")["warnings"]
            assert len(rows(portal_212, run.conf.resource_id)) == 3

    @pytest.mark.parametrize("is_first", [True, False], ids=["first", "another"])
    def test_what_an_earlier_try_has_done_is_not_that_of_others(
        self, portal_212, run, front, is_first
    ):
        run = through_api(run)
        if is_first:
            conf = replace(run.conf, options={"on_concurrent_writes": "refuse"})
            second = replace(run, conf=conf)
        else:
            second = self.again(run, "refuse")
        tasks.prepare(second)
        tasks.convert(second)
        front.faults["datastore_upsert"] = [count_refused] * 9
        with pytest.raises(errors.CkanRefused):
            tasks.load(second)
        front.faults["datastore_upsert"] = []
        assert rows(portal_212, run.conf.resource_id) == []
        tasks.load(second)
        report = second.place("load").read("report.json")
        assert (report["rows"], report["error"]) == (3, None)
        assert not [line for line in report["warnings"] if "others" in line]

    @pytest.mark.parametrize("mode", ["append", "upsert"])
    @pytest.mark.parametrize(
        ("column", "kind"),
        [
            ("name", "varchar(8)"),
            ("id", "numeric(5,2)"),
            ("id", "smallint"),
            ("when", "timestamp(0)"),
        ],
    )
    def test_a_column_of_another_type(self, portal_212, run, mode, column, kind):
        second = self.again(through_api(run), "warn", mode)
        tasks.prepare(second)
        tasks.convert(second)
        table = run.conf.resource_id
        sql(portal_212, f'ALTER TABLE "{table}" ALTER "{column}" TYPE {kind}')
        before = rows(portal_212, table)
        with pytest.raises(errors.SchemaDiffers, match=f"have changed .*: {column}") as refused:
            tasks.load(second)
        assert refused.value.hint.endswith("clear the task convert and those after it")
        assert rows(portal_212, table) == before


class TestColumnsChange:
    """CKAN is asked before the columns of a table change."""

    NEW = b"id,name\n1,a\n"

    @pytest.fixture(params=["copy", "api"])
    def second(self, run: Run, server: HttpServer, request: pytest.FixtureRequest) -> Run:
        """A run that takes a column from a table that is there."""
        run = run if request.param == "copy" else through_api(run)
        do_all(run)
        server.content = self.NEW
        return replace(run, run_id="second")

    @staticmethod
    def asked(front: Unsteady) -> list[dict[str, Any]]:
        return [json.loads(call.body) for call in front.made("aircan_columns_change")]

    def test_a_ckan_that_agrees(self, portal_212, front, second):
        front.faults["aircan_columns_change"] = [heard]
        do_all(second)
        columns = [("id", "bigint"), ("name", "text"), ("when", "date")]
        fields = [{"id": name, "type": kind} for name, kind in columns]
        assert self.asked(front) == [
            {
                "resource_id": second.conf.resource_id,
                "job_id": "job-1",
                "run_id": "second",
                "before": fields,
                "after": fields[:2],
            }
        ]
        assert rows(portal_212, second.conf.resource_id) == [("1", "a")]

    def test_a_ckan_without_the_extension(self, portal_212, front, second):
        do_all(second)
        assert rows(portal_212, second.conf.resource_id) == [("1", "a")]
        assert len(self.asked(front)) == 1

    def test_a_ckan_that_refuses(self, portal_212, front, second):
        front.faults["aircan_columns_change"] = [refuses] * 2
        front.faults["help_show"] = [heard] * 2
        with pytest.raises(errors.ColumnsRefused) as caught:
            do_all(second)
        assert not caught.value.retryable
        with pytest.raises(errors.StepFailed):
            tasks.report(second)
        last = told(front)[-1]
        assert (last["status"], last["step"]) == ("FAILED", "load")
        assert last["message"] == "CKAN does not let the columns change: a map needs when"
        assert last["info"]["error"]["type"] == "ColumnsRefused"
        assert len(rows(portal_212, second.conf.resource_id)) == 3

    @pytest.mark.usefixtures("hasty")
    def test_a_ckan_that_is_away(self, portal_212, front, second):
        front.faults["aircan_columns_change"] = [away] * 7
        with pytest.raises(errors.CkanUnreachable) as caught:
            do_all(second)
        assert caught.value.retryable
        assert len(rows(portal_212, second.conf.resource_id)) == 3
        front.faults["aircan_columns_change"] = []
        do_all(second)  # as Airflow does
        assert rows(portal_212, second.conf.resource_id) == [("1", "a")]


class TestPrivate:
    """CKAN itself, since files are had from it."""

    @pytest.fixture
    def run(self, run: Run, portal_212: Portal) -> Run:
        ckan = Connection("aircan_ckan", "http", portal_212.url, password=portal_212.token)
        return replace(run, connection=lambda name: {**known(run), "aircan_ckan": ckan}[name])

    @pytest.mark.parametrize("way", ["copy", "api"])
    def test_an_upload_is_loaded_and_validated(self, portal_212, run, way):
        made = portal_212.new_resource(upload=CSV.encode(), private=True)
        run = replace(run, conf=conf.read({"resource": {"resource_id": made["id"]}}))
        run = run if way == "copy" else through_api(run)
        do_all(run)
        assert len(rows(portal_212, made["id"])) == 3
        validated = replace(run, dag_id="aircan_validate")
        tasks.look_up(validated)
        tasks.validate(validated)
        assert validated.place("validate").read("report.json")["valid"] is True

    @pytest.mark.parametrize("place", ["datastore/dump/{id}", "dataset/d/resource/{id}/download/f"])
    @pytest.mark.parametrize("way", ["copy", "api", "validate"])
    def test_no_one_elses_rows_are_had_with_the_token(self, portal_212, run, place, way):
        secret = portal_212.new_resource(upload=CSV.encode(), private=True)
        do_all(replace(run, conf=conf.read({"resource": {"resource_id": secret["id"]}})))
        url = f"{portal_212.url}/{place.format(id=secret['id'])}"
        public = portal_212.new_resource(url)
        run = replace(run, run_id="2", conf=conf.read({"resource": {"resource_id": public["id"]}}))
        run = through_api(run) if way == "api" else run
        tasks.prepare(run)
        with pytest.raises(errors.AircanError):
            tasks.validate(run) if way == "validate" else do_all(run)
        assert sql(portal_212, "SELECT to_regclass(%s)", f'"{public["id"]}"') == [(None,)]


def known(run: Run) -> dict[str, Any]:
    """Return the connections of a run."""
    return {name: run.connection(name) for name in ("aircan_ckan", "aircan_datastore")}


class TestSecrets:
    def test_a_key_in_the_conf_works(self, portal_212, run, front):
        given = {"ckan_api_key": portal_212.token, "ckan_api_endpoint": f"{front.url}/api/"}
        run = replace(run, conf=replace(run.conf, **given))
        do_all(run)
        assert len(rows(portal_212, run.conf.resource_id)) == 3

    def test_a_key_in_the_conf_opens_no_private_address(self, portal_212, run, front):
        given = {"ckan_api_key": portal_212.token, "ckan_api_endpoint": f"{front.url}/api/"}
        run = replace(run, conf=replace(run.conf, **given, ckan_conn_id="not_there"))
        with pytest.raises(errors.AddressRefused, match="is not at a public address"):
            tasks.prepare(run)
        assert not front.calls
        allowed = f"{run.settings.allowed_hosts}, {urlsplit(front.url).netloc}"
        run = replace(run, settings=Settings(allowed_hosts=allowed))
        do_all(run)
        assert len(rows(portal_212, run.conf.resource_id)) == 3
        # Nobody vouches for that CKAN, so it gets no database of ours.
        assert run.place("report").read("report.json")["via"] == "api"

    def test_a_connection_without_a_token(self, portal_212, run, front, monkeypatch):
        monkeypatch.setenv("AIRCAN_CKAN_TOKEN", portal_212.token)
        known = connections(portal_212, front)
        known["aircan_ckan"].password = None
        with pytest.raises(errors.UsageError, match="connection aircan_ckan has no password"):
            tasks.prepare(replace(run, connection=known.__getitem__))
        assert not front.calls

    def test_a_key_in_the_conf_is_refused_by_a_setting(self, portal_212, run, front):
        refusing = replace(run.settings, refuses_keys=True)
        keyed = replace(run.conf, ckan_api_key=portal_212.token)
        run = replace(run, settings=refusing, conf=keyed)
        with pytest.raises(errors.UsageError, match="ckan_api_key") as refused:
            tasks.prepare(run)
        assert portal_212.token not in str(refused.value)
        with pytest.raises(errors.StepFailed):
            tasks.report(run)
        assert told(front)[-1]["status"] == "FAILED"

    def test_the_connections_token_goes_to_no_other_ckan(self, run, front):
        elsewhere = replace(run.conf, ckan_api_endpoint="http://127.0.0.1:9/api/")
        with pytest.raises(errors.UsageError, match="ckan_api_endpoint is not at"):
            tasks.prepare(replace(run, conf=elsewhere))
        assert not front.calls

    @pytest.mark.parametrize("way", ["copy", "api"])
    def test_no_artifact_and_no_status_holds_one(
        self, portal_212, run, front, server, tmp_path, way, caplog
    ):
        signed = f"{server.url}?X-Goog-Signature=s3cr3t"
        resource = {"resource_id": run.conf.resource_id, "path": signed}
        run = replace(run, conf=replace(run.conf, resource=resource))
        run = run if way == "copy" else through_api(run)
        caplog.set_level("DEBUG", "loader")
        do_all(run)
        files = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
        assert files
        said = [path.read_bytes() for path in files] + [caplog.text.encode()]
        said += [json.dumps(update).encode() for update in told(front)]
        for secret in (portal_212.token, "s3cr3t", PASSWORD):
            assert not [part for part in said if secret.encode() in part]
        assert len(rows(portal_212, run.conf.resource_id)) == 3


class TestValidate:
    STEPS = ("look_up", "validate")

    @pytest.fixture
    def run(self, run: Run) -> Run:
        return replace(run, dag_id="aircan_validate")

    def test_valid_rows(self, run, front):
        tasks.look_up(run)
        tasks.validate(run)
        tasks.report(run)
        last = told(front)[-1]
        assert (last["job_type"], last["status"]) == ("VALIDATE", "DONE")
        assert last["info"]["valid"] is True

    def test_errors_are_told_with_row_and_column(self, portal_212, run, front, server):
        server.content = b"id,when\n1,2020-01-01\nx,soon\n"
        schema = {"fields": [{"name": "id", "type": "integer"}, {"name": "when", "type": "date"}]}
        resource = {"resource_id": run.conf.resource_id, "schema": schema}
        run = replace(run, conf=replace(run.conf, resource=resource))
        tasks.look_up(run)
        tasks.validate(run)
        tasks.report(run)
        last = told(front)[-1]
        assert (last["status"], last["message"]) == ("DONE", "not valid: 2 errors")
        places = [(error["row"], error["column"]) for error in last["info"]["first"]]
        assert places == [(3, "id"), (3, "when")]
        assert sql(portal_212, "SELECT to_regclass(%s)", f'"{run.conf.resource_id}"') == [(None,)]

    def test_more_errors_than_are_told(self, run, front, server):
        server.content = b"id\n" + b"x\n" * 2000
        schema = {"fields": [{"name": "id", "type": "integer"}]}
        resource = {"resource_id": run.conf.resource_id, "schema": schema}
        run = replace(run, conf=replace(run.conf, resource=resource))
        tasks.look_up(run)
        tasks.validate(run)
        tasks.report(run)
        assert told(front)[-1]["message"] == "not valid: at least 1,000 errors"


# A resource that is deleted while its run goes on


def leave_out(portal: Portal, resource_id: str) -> None:
    """Save the dataset without the resource: CKAN leaves its table to be read by everybody."""
    dataset = portal.action("resource_show", id=resource_id)["package_id"]
    portal.action("package_update", **portal.action("package_show", id=dataset) | {"resources": []})


def has_table(portal: Portal, resource_id: str) -> bool:
    return sql(portal, "SELECT to_regclass(quote_ident(%s)) IS NOT NULL", resource_id)[0][0]


def loaded_as(way: str, run: Run) -> Run:
    return run if way == "copy" else through_api(run)


@pytest.mark.parametrize("way", ["copy", "api"])
@pytest.mark.parametrize("step", ["convert", "load"])
def test_a_step_does_not_load_what_was_deleted_before_it(portal_212, run, way, step):
    run = loaded_as(way, run)
    for before in STEPS[: STEPS.index(step)]:
        getattr(tasks, before)(run)
    leave_out(portal_212, run.conf.resource_id)
    with pytest.raises(errors.CkanNotFound):
        do_all(run, STEPS[STEPS.index(step) :])
    assert not has_table(portal_212, run.conf.resource_id)


@pytest.mark.parametrize("is_first", [True, False], ids=["first load", "reload"])
def test_register_takes_back_what_load_has_put_there(portal_212, run, is_first, monkeypatch):
    monkeypatch.setenv("AIRCAN_DATASTORE_URL", "postgresql://127.0.0.1:1/not_asked")
    if not is_first:
        do_all(run)
    for step in STEPS[:-1]:
        getattr(tasks, step)(run)
    leave_out(portal_212, run.conf.resource_id)
    assert has_table(portal_212, run.conf.resource_id)
    with pytest.raises(errors.CkanNotFound, match="its table was dropped") as caught:
        tasks.register(run)
    assert not caught.value.retryable
    assert not has_table(portal_212, run.conf.resource_id)
    with pytest.raises(errors.StepFailed, match=r"register: the resource .* was deleted"):
        tasks.report(run)


def test_register_leaves_the_table_of_another_load(portal_212, run):
    """It will find out by itself."""
    for step in STEPS[:-1]:
        getattr(tasks, step)(run)
    resource_id = run.conf.resource_id
    leave_out(portal_212, resource_id)
    with closing(psycopg.connect(portal_212.datastore_url, autocommit=True)) as other:
        resource_lock.take(relation.Relation(other, relation.name(resource_id)))
        with pytest.raises(errors.CkanNotFound, match="could not be dropped"):
            tasks.register(run)
    assert has_table(portal_212, resource_id)


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_cleanup_drops_tables_of_deleted_resources(portal_212, run, dry_run):
    do_all(run)
    kept = replace(run, run_id="of another", conf=another(portal_212, run))
    do_all(kept)
    leave_out(portal_212, run.conf.resource_id)
    cleanup_run = replace(run, dag_id="aircan_cleanup", conf=conf.read_without_resource({}))
    clean_up(cleanup_run, timedelta(days=1), lambda *_: False, dry_run=dry_run)
    report = cleanup_run.place("clean_up").read("report.json")
    assert run.conf.resource_id in report["gone"]
    assert kept.conf.resource_id not in report["gone"]
    assert has_table(portal_212, run.conf.resource_id) == dry_run
    assert has_table(portal_212, kept.conf.resource_id)


def another(portal: Portal, run: Run) -> conf.Conf:
    """Return what asks for the same file in another resource."""
    url = portal.action("resource_show", id=run.conf.resource_id)["url"]
    return replace(run.conf, resource={"resource_id": portal.new_resource(url)["id"]})


@pytest.mark.parametrize("fault", ["no connection", "away"])
def test_the_cleanup_goes_on_without_a_ckan(portal_212, run, front, fault):
    do_all(run)
    orphan = killed(portal_212)
    cleanup_run = replace(run, dag_id="aircan_cleanup", conf=conf.read_without_resource({}))
    if fault == "away":
        front.always = away_for_good
    else:
        cleanup_run = replace(cleanup_run, conf=replace(cleanup_run.conf, ckan_conn_id="not_there"))
    clean_up(cleanup_run, timedelta(days=-1), lambda *_: False, dry_run=False)
    report = cleanup_run.place("clean_up").read("report.json")
    assert (report["gone"], report["runs"]) == ([], 1)
    assert orphan in report["tables"]
    assert "tables of deleted resources" in report["warnings"][0]
    assert has_table(portal_212, run.conf.resource_id)


def killed(portal: Portal) -> str:
    """Return the table that a killed load has left."""
    names = relation.name("killed")
    with closing(database.connect(portal.datastore_url, "test")) as connection:
        shadow.create(relation.Relation(connection, names), [Column("a", "text")], None)
    return names.shadow


def test_the_cleanup_tells_what_it_dropped_before_it_failed(portal_212, run, monkeypatch):
    monkeypatch.setattr(locks, "GIVE_UP_AFTER_S", 0.1)
    busy, orphan = killed(portal_212), killed(portal_212)
    cleanup_run = replace(run, dag_id="aircan_cleanup", conf=conf.read_without_resource({}))
    with closing(psycopg.connect(portal_212.datastore_url)) as reader:
        reader.execute(f'SELECT count(*) FROM "{busy}"')
        with pytest.raises(errors.TableBusy):
            clean_up(cleanup_run, timedelta(days=1), lambda *_: False, dry_run=False)
    report = cleanup_run.place("clean_up").read("report.json")
    assert orphan in report["tables"]
    assert busy not in report["tables"]
    assert report["error"]["type"] == "TableBusy"


def away_for_good(handler: Any, call: Any) -> None:
    handler.answer(404, b"<html></html>", {"Content-Type": "text/html"})


# What has become of the table


def last_of(front: Unsteady) -> tuple[str, str]:
    """Return status and table of the newest update; every one has a table."""
    infos = [update["info"] for update in told(front)]
    assert {info["table"] for info in infos} <= set(TABLE_STATES)
    last = told(front)[-1]
    if error := last["info"].get("error"):
        assert error["table"] == last["info"]["table"]
    return last["status"], last["info"]["table"]


def fail(run: Run, step: str) -> None:
    """Do a step in vain, and the last one."""
    with pytest.raises(errors.AircanError):
        getattr(tasks, step)(run)
    with pytest.raises(errors.StepFailed):
        tasks.report(run)


@pytest.mark.parametrize("way", ["copy", "api"])
@pytest.mark.parametrize(
    ("mode", "table"), [("replace", "replaced"), ("append", "merged"), ("upsert", "merged")]
)
def test_ckan_hears_what_a_load_has_made_of_the_table(run, front, way, mode, table):
    run = run if way == "copy" else through_api(run)
    do_all(run)
    key = ["id"] if mode == "upsert" else []
    run = replace(run, run_id="second", conf=replace(run.conf, mode=mode, unique_keys=key))
    do_all(run)
    assert last_of(front) == ("DONE", table)
    assert run.place("report").read("report.json")["table"] == table


@pytest.mark.parametrize("way", ["copy", "api"])
def test_a_file_that_cannot_be_loaded_leaves_the_table(run, front, server, way):
    run = run if way == "copy" else through_api(run)
    do_all(run)
    run = replace(run, run_id="second")
    server.content = b'id,name,when\n1,"x\n'
    tasks.prepare(run)
    if way == "copy":
        tasks.convert(run)
    fail(run, "load" if way == "copy" else "convert")
    assert last_of(front) == ("FAILED", "untouched")


@pytest.mark.parametrize("way", ["copy", "api"])
def test_a_table_that_ckan_is_not_told_of_is_replaced_all_the_same(run, front, way):
    run = run if way == "copy" else through_api(run)
    for step in STEPS[:-1]:
        getattr(tasks, step)(run)
    front.faults["resource_patch"] = [refuses] * 9
    fail(run, "register")
    assert last_of(front) == ("FAILED", "replaced")


@pytest.mark.parametrize("again", ["prepare", "load"])
def test_what_a_first_try_has_done_is_not_forgotten(run, front, server, again):
    do_all(run)
    server.content = b'id,name,when\n1,"x\n'
    if again == "prepare":
        front.faults["resource_show"] = [refuses] * 20
    fail(run, again)
    assert last_of(front) == ("FAILED", "replaced")


def test_a_load_that_is_killed_leaves_nobody_knowing(run, front):
    do_all(run)
    run.place("load").clear()
    assert isinstance(tasks.tell_end(run, "it took too long"), errors.StepFailed)
    assert last_of(front) == ("FAILED", "unknown")


@pytest.mark.parametrize(("had_begun", "table"), [(True, "unknown"), (False, "untouched")])
@pytest.mark.parametrize("way", ["copy", "api"])
def test_a_try_after_one_that_was_killed_knows_whether_that_had_begun_to_change_the_table(
    run, front, server, way, had_begun, table
):
    run = run if way == "copy" else through_api(run)
    do_all(run)
    run.place("register").clear()
    assert run.place("load").read("changing.json") == {"table": "unknown"}
    place = run.place("load")
    place.clear()
    if had_begun:
        place.write("changing.json", {"table": "unknown"})
    server.content = b'id,name,when\n1,"x\n'
    fail(run, "load" if way == "copy" else "convert")
    assert last_of(front) == ("FAILED", table)


def test_rows_in_doubt_are_of_an_unknown_table(run, front):
    do_all(run)
    adding = replace(run, run_id="second", conf=replace(run.conf, mode="append"))
    tasks.prepare(adding)
    tasks.convert(adding)
    adding.place("added").write("begun.json", {"newest_id": 1})
    fail(adding, "load")
    assert last_of(front) == ("FAILED", "unknown")


def test_the_error_of_an_older_version_is_of_an_unknown_table(run, front):
    do_all(run)
    run.place("load").write("error.json", {"type": "EmptySource", "message": "no", "hint": None})
    with pytest.raises(errors.StepFailed):
        tasks.report(run)
    assert told(front)[-1]["info"]["table"] == "unknown"
