"""What CKAN is told of a job: not too often, in order, and never at a load's cost; and asked."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unsteady import Unsteady, never_answered, refused

from loader.ckan.client import Ckan
from loader.ckan.settings import CkanSettings
from loader.errors import CkanForbidden, CkanNotFound, CkanUnreachable, ColumnsRefused, NotACkan
from loader.factory.status import ACTION, QUESTION, Job, Telling, ask
from loader.types.column import Column

QUICK = CkanSettings(read_timeout_s=0.5, retries=2, backoff_s=0.01)


def heard(handler: Any, call: Any) -> None:
    content = b'{"success": true, "result": {}}'
    handler.answer(200, content, {"Content-Type": "application/json"})


@pytest.fixture
def receiver() -> Iterator[Unsteady]:
    with Unsteady("http://127.0.0.1:9") as receiver:
        receiver.always = heard
        yield receiver


@pytest.fixture
def over() -> threading.Event:
    """Whether the job has ended."""
    return threading.Event()


@pytest.fixture
def job(receiver: Unsteady, over: threading.Event) -> Job:
    return Job(Ckan(receiver.url, "token", QUICK), {"job_id": "a"}, over.is_set)


def told(receiver: Unsteady) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in receiver.made(ACTION)]


def test_an_update_says_all_of_it(job, receiver):
    job.tell("DONE", "report", "3 rows", table="merged", rows=3)
    [update] = told(receiver)
    sequence = update.pop("sequence")
    assert update == {
        "job_id": "a",
        "status": "DONE",
        "step": "report",
        "message": "3 rows",
        "info": {"table": "merged", "rows": 3},
    }
    assert abs(sequence / 1e6 - time.time()) < 60


def test_later_is_greater(job, receiver):
    for _ in range(20):
        job.tell("RUNNING", "load", "copying")
    sequences = [update["sequence"] for update in told(receiver)]
    assert sequences == sorted(set(sequences))


def test_progress_is_told_at_most_every_few_seconds(job, receiver):
    with Telling(job, "load", pause_s=0.3) as telling:
        telling.begin("copying rows")
        telling.expect(1000)
        end = time.monotonic() + 1
        for rows in range(1, 1_000_000):
            telling.advance(min(rows, 500), rows)
            if time.monotonic() > end:
                break
    updates = told(receiver)
    assert 2 <= len(updates) <= 5
    assert updates[-1]["message"] == "copying rows"
    assert updates[-1]["info"]["progress"] == 0.5
    assert updates[-1]["info"]["rows"] > updates[0]["info"].get("rows", 0)


def test_the_end_is_told_again_until_it_is_heard(job, receiver):
    receiver.always = None
    receiver.faults = {ACTION: [refused(503), refused(503), heard]}
    job.tell("DONE", "report", "done")
    updates = told(receiver)
    assert len(updates) == 3
    assert updates[0] == updates[1] == updates[2]


def test_progress_is_not_told_again(job, receiver):
    receiver.always = refused(503)
    job.tell("RUNNING", "load", "copying")
    assert len(told(receiver)) == 1


def test_a_ckan_that_never_answers_stops_no_load(job, receiver, caplog):
    receiver.always = never_answered
    with Telling(job, "load", pause_s=0.01) as telling:
        telling.begin("copying rows")
        while not receiver.calls:
            time.sleep(0.01)
        for rows in range(1000):
            telling.advance(rows, rows)
        assert len(receiver.calls) < 100, "as many as advances, if each waited for an answer"
    assert "CKAN was not told" in caplog.text


def test_a_task_that_is_being_stopped_does_not_tell_that_it_runs(job, receiver, over):
    over.set()
    job.tell("RUNNING", "load", "copying")
    assert not told(receiver)
    job.tell("FAILED", "report", "stopped")
    assert [update["status"] for update in told(receiver)] == ["FAILED"]


def test_what_ckan_has_no_action_for_is_one_line(job, receiver, caplog):
    receiver.always = refused(404)
    for _ in range(3):
        job.tell("RUNNING", "load", "copying")
    assert caplog.text.count("CKAN was not told") == 1


# May the columns change?

DOCS = Path(__file__).parents[2] / "docs" / "status-updates.md"
BEFORE = [Column("year", "bigint"), Column("amount", "bigint")]
AFTER = [Column("year", "bigint"), Column("amount", "numeric")]
NAMES = {"resource_id": "r", "job_id": None, "run_id": "manual"}


def said(status: int, body: Any) -> Any:
    """CKAN's answer."""
    content = json.dumps(body).encode()
    kind = {"Content-Type": "application/json;charset=utf-8"}
    return lambda handler, _call: handler.answer(status, content, kind)


def error(kind: str, **more: Any) -> dict[str, Any]:
    return {"success": False, "error": {"__type": f"{kind} Error", **more}}


UNKNOWN = said(400, f"Bad request: Action name not known: {QUESTION}")
NOT_FOUND = said(404, error("Not Found", message="Not found"))
HELP = said(200, {"success": True, "result": "Ask the plugins."})


def question(receiver: Unsteady, answers: list[Any], of_help: Any = HELP) -> None:
    receiver.always = None
    receiver.faults = {QUESTION: answers, "help_show": [of_help]}
    ask(Ckan(receiver.url, "token", QUICK), NAMES, BEFORE, AFTER)


def test_the_question_is_that_of_the_docs(receiver):
    _, example = re.findall(r"```json\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    example = json.loads(example)
    names = {name: example[name] for name in NAMES}
    before, after = (
        [Column(one["id"], one["type"]) for one in example[name]] for name in ("before", "after")
    )
    ask(Ckan(receiver.url, "token", QUICK), names, before, after)
    [call] = receiver.made(QUESTION)
    assert json.loads(call.body) == example


# name: CKAN's error, what is told of it
REFUSALS = {
    "of a field": ({"amount": ["a dashboard needs it"]}, "amount: a dashboard needs it"),
    "a sentence": ({"message": "amount is to stay"}, "amount is to stay"),
    "no reason": ({}, f"{QUESTION}: CKAN refuses it"),
    "lines": ({"message": "one\n<b>two</b>"}, "one <b>two</b>"),
}


@pytest.mark.parametrize(("found", "told"), REFUSALS.values(), ids=REFUSALS)
def test_ckans_reason_is_the_message(receiver, found, told):
    with pytest.raises(ColumnsRefused) as caught:
        question(receiver, [said(409, error("Validation", **found))])
    assert str(caught.value) == f"CKAN does not let the columns change: {told}"
    assert not caught.value.retryable
    assert len(receiver.made(QUESTION)) == 1


@pytest.mark.parametrize("answer", [UNKNOWN, NOT_FOUND], ids=["400", "404"])
def test_a_ckan_without_the_action_lets_them_change(receiver, answer):
    question(receiver, [answer], of_help=NOT_FOUND)
    assert [call.action for call in receiver.calls] == [QUESTION, "help_show"]


def test_a_lost_answer_is_asked_for_again(receiver):
    question(receiver, [refused(503), said(200, {"success": True, "result": {}})])
    assert len(receiver.made(QUESTION)) == 2


# name: CKAN's answers to all calls, what is raised, whether a retry can help
FAILURES = {
    "away": ([refused(503)] * 3, CkanUnreachable, True),
    "forbidden": ([said(403, error("Authorization", message="no"))], CkanForbidden, False),
    "no such resource": ([NOT_FOUND], CkanNotFound, False),
    "a data error": ([said(400, error("Integrity", message="x"))], ColumnsRefused, False),
    "no CKAN": ([refused(404)], NotACkan, False),
}


@pytest.mark.parametrize(("answers", "raised", "retryable"), FAILURES.values(), ids=FAILURES)
def test_where_nobody_knows_the_load_fails(receiver, answers, raised, retryable):
    with pytest.raises(raised) as caught:
        question(receiver, answers)
    assert caught.value.retryable is retryable
