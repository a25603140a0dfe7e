"""What a CKAN that a conf brings hears of a job: a rule over all kinds of update and all errors."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from test_status import QUICK, heard, told
from unsteady import Unsteady

import loader.copy.database
import loader.factory.tasks
import loader.net.failures  # noqa: F401  (with the two before: all kinds of errors there are)
from loader.ckan.client import Ckan
from loader.errors import AircanError
from loader.factory.disclosure import WITHHELD, disclosed
from loader.factory.status import ACTION, Job, Telling

OURS = "/srv/operators/place"  # stands in every text that is the operator's
REPORT = {
    "resource_id": "r",
    "table": "replaced",
    "source": "https://theirs.example.org/a.csv",
    "via": "api",
    "mode": "replace",
    "rows": 3,
    "bytes": 10,
    "columns": [{"id": "a", "type": "text"}],
    "bad_rows": {"rejected": 1, "repaired": 0, "rejects": OURS, "first": [{"row": 2}], "x": OURS},
    "hash": "abc",
    "warnings": ["blank lines left out: 1"],
    "timings_s": {"total": 1.0},
    "rows_per_second": 3,
    "error": None,
    "new": OURS,
}


def all_errors(kind: type[AircanError] = AircanError) -> Iterator[type[AircanError]]:
    for below in kind.__subclasses__():
        yield below
        yield from all_errors(below)


KINDS = {kind.__name__: kind for kind in all_errors() if kind.__module__.startswith("loader.")}
# About the file, the conf, or the CKAN that it names: told as they are.
OF_THE_LOAD = {
    *("SourceError", "SourceNotFound", "SourceForbidden", "SourceUnreachable", "SourceChanged"),
    *("CompressionError", "Passing", "UnknownName", "TimedOut"),
    *("TableError", "EmptySource", "NoRows", "NotATable", "EncodingError", "UnclosedQuote"),
    *("TooManyColumns", "TooManyBadRows", "ValueDoesNotFit", "SchemaDiffers"),
    *("CkanError", "NotACkan", "CkanUnreachable", "CkanForbidden", "CkanNotFound", "CkanRefused"),
    *("ColumnsRefused", "RowsLost", "RowsInDoubt", "RowRefused", "KeyViolated", "TableChanged"),
    *("UsageError", "Cancelled", "Unexpected"),
}
# What a message of these says beside the file is the operator's.
IN_OTHER_WORDS = {"SourceTooLarge", "SourceTooSlow", "AddressRefused", "OutOfMemory"}


@pytest.fixture
def receiver() -> Iterator[Unsteady]:
    with Unsteady("http://127.0.0.1:9") as receiver:
        receiver.always = heard
        yield receiver


@pytest.fixture
def job(receiver: Unsteady) -> Job:
    ckan = Ckan(receiver.url, "token", QUICK)
    return Job(ckan, {"job_id": "a"}, lambda: False, is_brought=True)


def error_of(kind: str) -> dict[str, Any]:
    error = AircanError(f"about {OURS}", hint=f"see {OURS}", row=3, column="a", value="x")
    return error.to_dict() | {"type": kind, "new": OURS}


@pytest.mark.parametrize("kind", [*KINDS, "OfAnotherVersion", "", None])
def test_of_an_error_only_what_is_of_the_load_is_told(job, receiver, kind):
    error = error_of(kind)
    for is_of_load in (True, False):
        job.tell("FAILED", "load", error["message"], is_of_load=is_of_load, error=error)
    of_load, of_operator = (update["info"]["error"] for update in told(receiver))
    assert OURS not in json.dumps(of_operator)
    assert (of_operator["type"], of_operator["message"]) == (kind, WITHHELD)
    assert of_load["type"] == kind
    if kind in OF_THE_LOAD:
        assert {of_load[name] for name in ("row", "column", "value")} == {3, "a", "x"}
        assert of_load["message"] == error["message"]
        assert "new" not in of_load
    else:
        assert OURS not in json.dumps(of_load)
        assert (of_load["message"] != WITHHELD) is (kind in IN_OTHER_WORDS)


def test_what_is_told_of_errors_is_of_kinds_that_there_are():
    assert KINDS.keys() >= OF_THE_LOAD | IN_OTHER_WORDS


def test_a_hint_that_names_the_file_of_rejects_is_not_told(job, receiver):
    job.tell("FAILED", "load", "x", is_of_load=True, error=error_of("TooManyBadRows"))
    assert OURS not in json.dumps(told(receiver)[0]["info"]["error"]["hint"])


# name: status, info, what of it is told
UPDATES: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "running": ("RUNNING", {"rows": 1, "bytes": 2, "progress": 0.5}, {"rows", "bytes", "progress"}),
    "loaded": (
        "DONE",
        {"rows": 3, "progress": 1, "warnings": [], "report": REPORT},
        {"rows", "progress", "warnings", "report"},
    ),
    "validated": (
        "DONE",
        {"valid": False, "errors": 1, "first": [{"row": 2}]},
        {"valid", "errors", "first"},
    ),
    "failed": ("FAILED", {"error": error_of("ArtifactsError")}, {"error"}),
    "failed without an error": ("FAILED", {}, {"error"}),
}


@pytest.mark.parametrize(("status", "info", "names"), UPDATES.values(), ids=UPDATES)
def test_of_an_update_only_what_is_of_the_load_is_told(job, receiver, caplog, status, info, names):
    caplog.set_level(logging.INFO, "loader.factory.status")
    more = {"artifacts": {"report.json": f"{OURS}/report.json"}, "new": OURS, "log_url": OURS}
    message = OURS if status == "FAILED" else "3 rows"
    job.tell(status, "load", message, **info, **more)
    [update] = told(receiver)
    assert OURS not in json.dumps(update)
    assert update["info"].keys() == names | {"table"}
    assert update["message"] == (WITHHELD if status == "FAILED" else "3 rows")
    # The operator reads all of it in the log.
    assert (f"{OURS}/report.json" in caplog.text) is (status != "RUNNING")


def test_the_report_is_that_of_the_load(job, receiver):
    job.tell("DONE", "report", "3 rows", report=REPORT)
    [update] = told(receiver)
    bad_rows = {"rejected": 1, "repaired": 0, "rejects": None, "first": [{"row": 2}]}
    assert update["info"]["report"] == {
        name: value for name, value in REPORT.items() if name != "new"
    } | {"bad_rows": bad_rows}


def test_progress_is_told(job, receiver):
    with Telling(job, "load", pause_s=0.01) as telling:
        telling.expect(100)
        telling.begin("copying rows")
        telling.advance(50, 7)
        while not receiver.made(ACTION):
            time.sleep(0.01)
    assert told(receiver)[0]["message"] == "copying rows"


@pytest.mark.parametrize("status", ["RUNNING", "DONE", "FAILED"])
def test_the_operators_own_ckan_hears_all(receiver, status):
    job = Job(Ckan(receiver.url, "token", QUICK), {}, lambda: False)
    info = {"error": error_of("UsageError"), "artifacts": {"a": OURS}, "report": REPORT}
    job.tell(status, "load", OURS, table="partly", **info)
    [update] = told(receiver)
    assert (update["info"], update["message"]) == ({"table": "partly", **info}, OURS)


def test_what_is_disclosed_is_a_copy():
    update = {"status": "DONE", "step": "report", "message": "x", "info": {"report": REPORT}}
    disclosed(update, is_of_load=False)
    assert update["info"]["report"]["bad_rows"]["rejects"] == OURS
