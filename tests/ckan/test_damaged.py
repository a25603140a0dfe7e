"""Artifacts that somebody has damaged: each is one line of error, for its own resource only.

A table of shapes, tried with everybody who reads an artifact.
"""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import test_ending
import test_tasks
from portal import Portal
from test_ending import COUNT, REASON, part
from test_tasks import rows, told

from loader import errors
from loader.factory import ending, selection, tasks
from loader.factory.artifacts import Artifacts
from loader.factory.cleanup import clean_up
from loader.factory.failed import begun, last_failed
from loader.factory.run import Run

front, server, one_run, many_run = (
    test_tasks.front,
    test_tasks.server,
    test_tasks.run,
    test_ending.run,
)

DEEP = 100_000
# What lies there in place of what a step leaves.
SHAPES = {
    "no JSON": b"{",
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "a list": b"[]",
    "an object": b"{}",
    "null": b"null",
    "a number": b"3",
    "a string": b'"text"',
    "a list of nothing": b"[null, [], {}]",
    "NaN": b"NaN",
    "a huge number": b"1e999",
    "a long number": b"9" * 10_000,
    "nested lists": b"[" * DEEP + b"]" * DEEP,
    "nested objects": b'{"resource_id":' * DEEP + b"1" + b"}" * DEEP,
    "wrong types": json.dumps(
        {
            "resource_id": 3,
            "path": [],
            "aircan": 1,
            "rows": "3",
            "bad_rows": [],
            "error": 3,
            "warnings": 1,
            "before": 3,
            "newest_id": "3",
            "message": [],
            "hint": 1,
            "valid": 2,
        }
    ).encode(),
    "lacking": b'{"resource_id": "r", "path": "a", "rows": 3, "aircan": {}, "warnings": []}',
    "NaN in it": b'{"rows": NaN, "resource_id": "r", "newest_id": Infinity, "error": NaN}',
}


WITHOUT_AN_ERROR = ("an object", "lacking")  # a report of these tells of none


@dataclass(frozen=True)
class Reader:
    """Who reads an artifact of a load.

    Attributes:
        step: Which has left it.
        name: The file.
        read: What reads it.
        changes: What is done to the run first.
    """

    step: str
    name: str
    read: Callable[[Run], Any]
    changes: Callable[[Run], Run] = lambda run: run


def through_api(run: Run) -> Run:
    return replace(run, conf=replace(run.conf, datastore_conn_id=None))


def adding(run: Run) -> Run:
    return replace(run, conf=replace(run.conf, mode="append", datastore_conn_id=None))


def validating(run: Run) -> Run:
    return replace(run, dag_id="aircan_validate")


READERS = {
    "convert reads what is prepared": Reader("prepare", "resource.json", tasks.convert),
    "load reads what is prepared": Reader("prepare", "resource.json", tasks.load),
    "validate does": Reader("prepare", "resource.json", tasks.validate, changes=validating),
    "load reads convert's report": Reader("convert", "report.json", tasks.load, through_api),
    "load reads of which file": Reader("convert", "resource.json", tasks.load, through_api),
    "load reads the old table": Reader("convert", "table.json", tasks.load, through_api),
    "load reads the rows": Reader("convert", "rows.ndjson.gz", tasks.load, through_api),
    "register reads load's report": Reader("load", "report.json", tasks.register),
    "report reads the last": Reader("register", "report.json", tasks.report),
    "report reads of a validation": Reader(
        "validate", "report.json", tasks.report, changes=validating
    ),
    "an append reads what it has done": Reader("added", "done.json", tasks.load, adding),
}


def do(run: Run) -> None:
    steps = ("look_up", "validate") if run.dag_id == "aircan_validate" else test_tasks.STEPS
    for step in steps:
        getattr(tasks, step)(run)


def put(run: Run, step: str, name: str, content: bytes) -> str:
    path = Path(run.place(step).uri, name)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)


def one_line(error: errors.AircanError) -> None:
    for text in (str(error), error.hint or ""):
        assert text
        assert len(text.splitlines()) == 1


FAILING = ["prepare", "convert", "load", "register"]


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_each_says_what_is_damaged(portal_212: Portal, one_run, front, reader):
    run = reader.changes(one_run)
    do(run)
    there = None if run.dag_id == "aircan_validate" else rows(portal_212, run.conf.resource_id)
    kept = Path(run.place(reader.step).uri, reader.name).read_bytes()
    own = [*READERS.values()].index(reader) % 4  # all are reported after some reader
    for number, (shape, content) in enumerate(SHAPES.items()):
        path = put(run, reader.step, reader.name, content)
        front.calls.clear()
        with pytest.raises(errors.ArtifactsError) as damaged:
            reader.read(run)
        assert path in str(damaged.value), shape
        one_line(damaged.value)
        assert not damaged.value.retryable
        if number % 4 == own:
            with suppress(errors.AircanError):
                tasks.report(run)
            assert told(front)[-1]["status"] == "FAILED", shape
    if there is not None:
        assert rows(portal_212, run.conf.resource_id) == there
    # Put right, it goes on.
    Path(run.place(reader.step).uri, reader.name).write_bytes(kept)
    reader.read(run)


@pytest.mark.parametrize("number", range(len(FAILING)), ids=FAILING)
@pytest.mark.parametrize("name", ["error.json", "report.json"])
def test_why_a_step_failed_is_damaged(one_run, front, number, name):
    """Of each step a part of the shapes: which step it was is only the place."""
    step = FAILING[number]
    do(one_run)
    Path(one_run.place(step).uri, "resource.json").unlink(missing_ok=True)
    if name == "error.json":
        Path(one_run.place(step).uri, "report.json").unlink(missing_ok=True)
    for shape in [*SHAPES][number :: len(FAILING)]:
        path = put(one_run, step, name, SHAPES[shape])
        front.calls.clear()
        with pytest.raises(errors.AircanError) as damaged:
            tasks.report(one_run)
        one_line(damaged.value)
        assert told(front)[-1]["status"] == "FAILED", shape
        if name == "error.json" or shape not in WITHOUT_AN_ERROR:
            assert path in str(damaged.value), shape


def test_rows_that_were_added_are_not_added_again(portal_212, one_run):
    run = adding(one_run)
    do(run)
    for content in SHAPES.values():
        put(run, "added", "done.json", content)
        with pytest.raises(errors.ArtifactsError) as damaged:
            tasks.load(run)
        assert damaged.value.hint.startswith("its rows were added by an earlier try")
    assert len(rows(portal_212, run.conf.resource_id)) == 3


def test_nobody_knows_which_rows_there_were(portal_212, one_run):
    run = adding(one_run)
    do(run)
    Path(run.place("added").uri, "done.json").unlink()
    for content in SHAPES.values():
        path = put(run, "added", "begun.json", content)
        with pytest.raises(errors.ArtifactsError) as damaged:
            tasks.load(run)
        assert path in str(damaged.value)
        one_line(damaged.value)
        assert damaged.value.hint.startswith("delete those that it added, if any")
    assert len(rows(portal_212, run.conf.resource_id)) == 3


@pytest.mark.parametrize("shape", SHAPES)
def test_the_list_of_many(many_run, front, shape):
    put(many_run, "find", "resources.json", SHAPES[shape])
    with pytest.raises(errors.ArtifactsError) as damaged:
        selection.selected(many_run, 1)
    one_line(damaged.value)
    assert "resources.json" in str(damaged.value)
    if shape != "a list":  # of nothing
        assert [number for number, _ in selection.numbered(many_run)] == list(range(COUNT))


@pytest.mark.parametrize("name", ["resource.json", "error.json"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_others_of_a_run_are_told_and_found(many_run, front, caplog, shape, name):
    put(many_run, "find", "resources.json", b"{")
    damaged = part(many_run, 1)
    put(damaged, "prepare", "resource.json", SHAPES[shape])
    put(damaged, "prepare", name, SHAPES[shape])
    others = [(number, f"r{number}") for number in range(COUNT) if number != 1]
    found = begun(many_run.artifacts, many_run.dag_id, many_run.run_id)
    assert [one for one in found if one[0] != 1] == others
    failed = last_failed(many_run.artifacts, ["aircan_reload"])
    assert {one for one in failed if one != "r"} >= {name for _, name in others}
    ending.tell(many_run, {"reload": "failed"}, REASON)
    updates = {update["resource_id"]: update["status"] for update in told(front)}
    assert {name: updates[name] for _, name in others} == dict.fromkeys(
        ["r0", "r2", "r3"], "FAILED"
    )
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("shape", SHAPES)
def test_the_cleanup_goes_on(many_run, caplog, shape):
    caplog.set_level(logging.INFO)
    for step, name in (("prepare", "resource.json"), ("report", "report.json"), ("load", "x")):
        part(many_run, 1).place(step).write(name, 1)
        put(part(many_run, 1), step, name, SHAPES[shape])
    cleaning = replace(many_run, dag_id="aircan_cleanup", run_id="c")
    cleaning = replace(cleaning, conf=replace(cleaning.conf, datastore_conn_id=None))
    clean_up(cleaning, timedelta(0), lambda dag_id, run_id: run_id == "c", dry_run=False)
    assert [run.run_id for run in Artifacts(many_run.artifacts.uri).runs()] == ["c"]
