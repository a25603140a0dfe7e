"""What the client says of real Airflows, of REST API v1 and v2, and of what is none."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflows import TOKEN_S, VIEWER, Airflow2, Airflow3
from answering import Answering
from ckanext.aircan.airflow import (
    Airflow,
    AirflowError,
    AirflowRefused,
    AirflowSettings,
    AirflowUnreachable,
    Run,
)
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

VERSION_2 = {"/api/v2/version": (200, {"version": "3.3.2"})}
RUN = "/api/v2/dags/quick/dagRuns/one"
RUNNING = {"state": "running", "start_date": "2026-01-01T10:00:00Z", "end_date": None}
# Time, level, message.
LINE = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+(Z|[+]\d{4}) (INFO|WARNING|ERROR) \S")
LINES = 2_000
Server = Airflow2 | Airflow3


@pytest.fixture(scope="module")
def airflow_3(servers: Path) -> Iterator[Airflow3]:
    """Airflow 3 with users."""
    yield from running(Airflow3(servers / "airflow-users"))


@pytest.fixture(scope="module")
def airflow_2(servers: Path) -> Iterator[Airflow2]:
    """Airflow 2."""
    yield from running(Airflow2(servers / "airflow-2"))


def running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module", params=["airflow_3", "airflow_2"], ids=["airflow-3", "airflow-2"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each Airflow in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def settings(server: Server) -> AirflowSettings:
    """How to log in to it; the first requests take their time on a busy machine."""
    return settings_of(server)


def settings_of(server: Server) -> AirflowSettings:
    return AirflowSettings(server.url, username=server.user, password=server.password, timeout_s=60)


@pytest.fixture(scope="module")
def airflow(settings: AirflowSettings) -> Airflow:
    """The client of it."""
    return Airflow(settings)


@pytest.fixture(scope="module")
def runs(airflow: Airflow) -> dict[str, str]:
    """A run of each DAG, begun side by side, with ids as CKAN and as Airflow itself gives them."""
    failing = "manual__2026-01-01T10:00:00.123456+00:00"
    airflow.trigger("failing", failing, {})
    sleeping = begin(airflow, "sleeping")
    quick = begin(airflow, "quick", name="Zoë", lines=LINES)
    return {"quick": quick, "sleeping": sleeping, "failing": failing}


def ask(url: str, auth: str = "none", **settings: Any) -> Run | None:
    """Ask for a run at a URL."""
    return Airflow(AirflowSettings(url, auth=auth, **settings)).run("quick", "one")


def error_of(url: str, auth: str = "none", **settings: Any) -> AirflowError:
    """What it is refused with."""
    with pytest.raises(AirflowError) as raised:
        ask(url, auth, **settings)
    return raised.value


def begin(airflow: Airflow, dag_id: str, **conf: Any) -> str:
    run_id = f"aircan__{uuid.uuid4()}"
    airflow.trigger(dag_id, run_id, conf)
    return run_id


def wait(look: Callable[[], Any]) -> Any:
    """Look until there is something."""
    end = time.monotonic() + 180
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def ended(airflow: Airflow, dag_id: str, run_id: str) -> Run:
    """Wait for the end of a run."""
    wait(lambda: airflow.run(dag_id, run_id).ended)
    return airflow.run(dag_id, run_id)


def test_a_run_that_succeeds(airflow: Airflow, runs: dict[str, str]) -> None:
    run = ended(airflow, "quick", runs["quick"])
    assert run.state == "success"
    assert run.conf == {"name": "Zoë", "lines": LINES}
    assert run.started.utcoffset() is not None
    tasks = airflow.tasks("quick", runs["quick"])
    assert [(task.task_id, task.state, task.tries) for task in tasks] == [
        ("greet", "success", 1),
        ("spell", "success", 1),
        ("spell", "success", 1),
    ]
    assert {(task.task_id, task.map_index) for task in tasks} == {
        ("greet", -1),
        ("spell", 0),
        ("spell", 1),
    }
    assert all(run.started <= task.started < task.ended <= run.ended for task in tasks)


def test_a_run_that_fails_has_a_log_of_each_try(airflow: Airflow, runs: dict[str, str]) -> None:
    assert ended(airflow, "failing", runs["failing"]).state == "failed"
    (task,) = airflow.tasks("failing", runs["failing"])
    assert (task.task_id, task.state, task.tries) == ("fail", "failed", 2)
    for number, other in ((1, 2), (2, 1)):
        said = airflow.log("failing", runs["failing"], "fail", number)
        assert f"ValueError: asked to fail in try {number}" in said
        assert "it was of no use" in said
        assert f"try {other}" not in "\n".join(said)


def test_a_run_that_is_stopped(airflow: Airflow, runs: dict[str, str]) -> None:
    of_run = "sleeping", runs["sleeping"]
    wait(lambda: "INFO going to sleep" in "\n".join(log_of_first_task(airflow, *of_run)))
    run = airflow.run(*of_run)
    assert (run.state, run.ended) == ("running", None)
    first, last = airflow.tasks(*of_run)
    assert (first.task_id, first.state, first.ended) == ("sleep", "running", None)
    assert (last.task_id, last.state, last.tries, last.started) == ("wake", None, 0, None)
    for _ in range(2):
        airflow.stop(*of_run)
        assert ended(airflow, *of_run).state == "failed"
    states = {task.task_id: task.state for task in airflow.tasks(*of_run)}
    assert states == {"sleep": "failed", "wake": "skipped"}


def log_of_first_task(airflow: Airflow, dag_id: str, run_id: str) -> list[str]:
    task = next(iter(airflow.tasks(dag_id, run_id)), None)
    has_begun = task is not None and task.state == "running"
    return airflow.log(dag_id, run_id, task.task_id, task.tries) if has_begun else []


def test_a_run_that_has_succeeded_is_not_made_to_fail(
    airflow: Airflow, runs: dict[str, str]
) -> None:
    run = ended(airflow, "quick", runs["quick"])
    airflow.stop("quick", runs["quick"])
    assert airflow.run("quick", runs["quick"]) == run


def test_a_run_that_is_triggered_twice_is_one(
    airflow: Airflow, server: Server, runs: dict[str, str]
) -> None:
    airflow.trigger("sleeping", runs["sleeping"], {"a": 1})
    ended(airflow, "quick", runs["quick"])
    airflow.trigger("quick", runs["quick"], {"name": "second"})
    known = server.request("GET", "dags/quick/dagRuns")["dag_runs"]
    confs = [run["conf"] for run in known if run["dag_run_id"] == runs["quick"]]
    assert confs == [{"name": "Zoë", "lines": LINES}]
    assert airflow.run("quick", runs["quick"]).state == "success"


def test_all_tasks_are_had_where_airflow_gives_some_at_a_time(
    airflow: Airflow, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(airflow, "quick", runs["quick"])
    tasks = airflow.tasks("quick", runs["quick"])
    monkeypatch.setattr("ckanext.aircan.airflow._TASKS_ASKED", 2)
    assert set(airflow.tasks("quick", runs["quick"])) == set(tasks)
    assert len(tasks) == 3


def test_a_log_is_lines_with_time_level_and_message(airflow: Airflow, runs: dict[str, str]) -> None:
    ended(airflow, "quick", runs["quick"])
    lines = airflow.log("quick", runs["quick"], "greet", 1)
    assert LINE.match(lines[0])
    said = [line for line in lines if " INFO line " in line]
    assert [line.partition(" INFO ")[2] for line in said] == [f"line {n}" for n in range(LINES)]
    (place,) = [n for n, line in enumerate(lines) if line.endswith(" WARNING hello <Zoë>")]
    assert lines[place + 1] == "and goodbye — ünïcode"
    assert not any("group::" in line for line in lines)


def test_mapped_tasks_have_a_log_each(airflow: Airflow, runs: dict[str, str]) -> None:
    ended(airflow, "quick", runs["quick"])
    for index, letter in enumerate("ab"):
        lines = airflow.log("quick", runs["quick"], "spell", 1, index)
        assert [line[-1] for line in lines if " INFO letter " in line] == [letter]


def test_of_a_long_log_there_are_the_last_lines(
    airflow: Airflow, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(airflow, "quick", runs["quick"])
    of_log = "quick", runs["quick"], "greet", 1
    whole = airflow.log(*of_log)
    monkeypatch.setattr("ckanext.aircan.airflow._PIECE_BYTES", 1_000)
    monkeypatch.setattr("ckanext.aircan.airflow._ANSWER_BYTES", 100_000)
    lines = airflow.log(*of_log)
    assert 200 < len(lines) < LINES
    assert lines == whole[-len(lines) :]
    monkeypatch.setattr("ckanext.aircan.airflow._LOG_LINES", 100)
    assert airflow.log(*of_log) == whole[-100:]


def test_a_run_that_airflow_does_not_know(airflow: Airflow) -> None:
    for of_run in (("quick", "no such run"), ("no_such_dag", "one")):
        assert airflow.run(*of_run) is None
        assert airflow.tasks(*of_run) == []
        airflow.stop(*of_run)


def test_a_log_that_is_not_there(airflow: Airflow, runs: dict[str, str]) -> None:
    with pytest.raises(AirflowRefused, match="TaskInstance not found"):
        airflow.log("quick", runs["quick"], "no_such_task", 1)


def test_a_dag_that_is_not_there_may_come_with_the_next_deployment(airflow: Airflow) -> None:
    with pytest.raises(AirflowRefused, match="'no_such_dag' not found") as refused:
        begin(airflow, "no_such_dag")
    assert refused.value.retryable


@pytest.mark.parametrize("name", [".", "..", ""])
def test_a_name_that_would_be_another_path(airflow: Airflow, name: str) -> None:
    for of_run in ((name, "one"), ("quick", name)):
        with pytest.raises(AirflowRefused, match="is no name of Airflow's"):
            airflow.run(*of_run)


def test_a_dag_that_is_paused(airflow: Airflow, server: Server) -> None:
    assert not airflow.is_paused("no_such_dag")
    assert not airflow.is_paused("quick")
    server.request("PATCH", "dags/quick", json={"is_paused": True})
    try:
        assert airflow.is_paused("quick")
    finally:
        server.request("PATCH", "dags/quick", json={"is_paused": False})


def answering_runs(*of_patches: int) -> Answering:
    """An Airflow with one run that is going, and what it answers who ends it, time by time."""
    left = iter(of_patches)
    run = {"state": "running", "start_date": None, "end_date": None}
    one = lambda headers: (next(left) if headers["Content-Length"] else 200, run)  # noqa: E731
    return Answering({"/api/v2/dags/quick/dagRuns/one": one})


def test_a_run_is_ended_though_airflow_stumbles_over_it() -> None:
    with answering_runs(500, 200) as server:
        Airflow(AirflowSettings(server.url, "v2", "none")).stop("quick", "one")
        patches = [one for one in server.requests if one[0] == "PATCH"]
    assert len(patches) == 2


def test_airflow_stumbles_again_and_again() -> None:
    with answering_runs(500, 500, 500) as server, pytest.raises(AirflowError, match="HTTP 500"):
        Airflow(AirflowSettings(server.url, "v2", "none")).stop("quick", "one")


def test_a_dag_whose_file_is_broken_is_tried_again() -> None:
    said = {"detail": "DAG with dag_id: 'quick' has import errors and cannot be triggered"}
    with (
        Answering({"/api/v2/dags/quick/dagRuns": (400, said)}) as server,
        pytest.raises(AirflowRefused, match="has import errors") as refused,
    ):
        begin(Airflow(AirflowSettings(server.url, "v2", "none")), "quick")
    assert refused.value.retryable


def test_a_conf_that_cannot_be_is_refused_in_one_line(airflow: Airflow) -> None:
    with pytest.raises(AirflowRefused) as refused:
        begin(airflow, "quick", name="no")
    said = "Invalid input for param name: 'no' is too short"
    assert str(refused.value) == f"Airflow refuses: {said}"
    assert not refused.value.retryable


def test_a_wrong_password_is_for_the_operator_to_mend(settings: AirflowSettings) -> None:
    airflow = Airflow(replace(settings, password="hunter2"))
    with pytest.raises(AirflowRefused, match="does not let CKAN in") as refused:
        begin(airflow, "quick")
    assert refused.value.retryable
    assert "password" in refused.value.hint
    assert "hunter2" not in f"{refused.value!r}{refused.value.hint}"
    assert begin(Airflow(settings), "quick")


@pytest.mark.parametrize("password", ["", "pass wörd €", "a\nb"])
def test_any_password_may_be_tried(settings: AirflowSettings, password: str) -> None:
    with pytest.raises(AirflowRefused) as refused:
        Airflow(replace(settings, password=password)).run("quick", "one")
    assert refused.value.retryable


def test_without_a_login_airflow_lets_nobody_in(settings: AirflowSettings) -> None:
    with pytest.raises(AirflowRefused, match="does not let CKAN in"):
        Airflow(replace(settings, auth="none")).run("quick", "one")


def test_a_wrong_token_is_refused(settings: AirflowSettings) -> None:
    airflow = Airflow(replace(settings, auth="token", token="no-token"))
    with pytest.raises(AirflowRefused, match="does not let CKAN in") as refused:
        airflow.run("quick", "one")
    assert refused.value.retryable
    assert "no-token" not in str(refused.value)


def test_the_version_that_is_not_there_is_no_airflow(
    settings: AirflowSettings, server: Server
) -> None:
    right, wrong = ("v2", "v1") if isinstance(server, Airflow3) else ("v1", "v2")
    assert Airflow(replace(settings, api=right)).run("quick", "no such run") is None
    with pytest.raises(AirflowUnreachable, match=r"no Airflow at .*: HTTP 404"):
        Airflow(replace(settings, api=wrong)).run("quick", "no such run")


def test_a_user_who_may_not_trigger_is_for_the_operator_to_mend(airflow_3: Airflow3) -> None:
    viewer = Airflow(replace(settings_of(airflow_3), username=VIEWER))
    assert viewer.run("quick", "no such run") is None
    with pytest.raises(AirflowRefused, match="does not let CKAN in: Forbidden") as refused:
        begin(viewer, "quick")
    assert refused.value.retryable


def test_a_token_that_has_expired_is_had_anew_by_who_has_a_password(airflow_3: Airflow3) -> None:
    with_password = Airflow(settings_of(airflow_3))
    token = replace(settings_of(airflow_3), auth="token", token=airflow_3.token())
    with_token = Airflow(token)
    for airflow in (with_password, with_token):
        assert airflow.run("quick", "no such run") is None
    time.sleep(TOKEN_S + 1)
    assert with_password.run("quick", "no such run") is None
    with pytest.raises(AirflowRefused, match="does not let CKAN in: Token Expired") as refused:
        with_token.run("quick", "no such run")
    assert refused.value.retryable
    assert token.token not in str(refused.value)


def test_a_token_from_before_a_restart_is_had_anew(airflow_3: Airflow3) -> None:
    airflow = Airflow(settings_of(airflow_3))
    airflow.run("quick", "no such run")
    head, _, signature = airflow._access._jwt.rpartition(".")
    airflow._access._jwt = f"{head}.{signature[::-1]}"  # as if signed by another key
    assert airflow.run("quick", "no such run") is None


# What is no Airflow, or no good one


def test_nobody_listens() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    error = error_of(f"{url}/", "password", password="p")
    assert isinstance(error, AirflowUnreachable)
    assert str(error) == f"Airflow cannot be reached at {url}"
    assert error.retryable


@contextmanager
def listening(says: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server of bare sockets; what it says may take for ever."""

    def serve() -> None:
        with suppress(OSError):  # it is closed
            while True:
                connections.append(server.accept()[0])
                says(connections[-1])

    connections: list[socket.socket] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    for connection in connections:
        connection.close()


def silence(connection: socket.socket) -> None:
    """Nothing."""


def half_a_header(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")


def half_a_body(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"version":')


def drips(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1\r\n \r\n")
        time.sleep(0.05)


@pytest.mark.parametrize("says", [silence, half_a_header, half_a_body, drips])
def test_who_never_answers_is_left_in_time(says: Callable[[socket.socket], None]) -> None:
    with listening(says) as url:
        begun = time.monotonic()
        error = error_of(url, timeout_s=0.5)
        assert time.monotonic() - begun < 15
    assert isinstance(error, AirflowUnreachable)
    assert str(error) == f"Airflow at {url} does not answer in 0.5 s"


def test_a_connection_that_breaks() -> None:
    with listening(lambda connection: connection.close()) as url:
        assert str(error_of(url)) == f"Airflow cannot be reached at {url}"


HTML = b"<html><body>Sign in, please: hunter2</body></html>"
NO_API = "and not an answer of its REST API"


@pytest.mark.parametrize("auth", ["none", "password"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, HTML), NO_API),
        ((200, b""), NO_API),
        ((200, b'{"version"'), NO_API),
        ((200, b"\xff\xfe"), NO_API),
        ((200, b"[" * 100_000), NO_API),
        ((200, []), NO_API),
        ((200, {}), NO_API),
        ((302, HTML), NO_API),
        ((404, HTML), NO_API),
        ((405, HTML), NO_API),
        ((429, HTML), "answers HTTP 429"),
        ((500, HTML), "answers HTTP 500"),
        ((503, {"detail": "no workers"}), "answers HTTP 503"),
        ((401, HTML), "does not let CKAN in: HTTP 401"),
        ((403, HTML), "does not let CKAN in: HTTP 403"),
    ],
)
def test_what_is_no_airflow_is_told_from_one(
    answer: tuple[int, Any], message: str, auth: str
) -> None:
    for answers in ({"*": answer}, VERSION_2 | {"*": answer}):
        with Answering(answers) as server:
            error = error_of(server.url, auth)
        assert str(error).endswith(message)
        assert server.url in str(error)
        assert error.retryable
        assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    "body",
    [
        {**RUNNING, "state": "paused"},
        {**RUNNING, "state": ["running"]},
        {**RUNNING, "start_date": "yesterday"},
        {**RUNNING, "start_date": 5},
        {"state": "running"},
    ],
)
def test_a_run_that_cannot_be_understood(body: dict[str, Any]) -> None:
    with Answering(VERSION_2 | {RUN: (200, body)}) as server:
        assert NO_API in str(error_of(server.url))


@pytest.mark.parametrize("tasks", [[{}], [5], 5, {"a": 1}])
def test_tasks_that_cannot_be_understood(tasks: object) -> None:
    page = (200, {"task_instances": tasks, "total_entries": 1})
    with Answering(VERSION_2 | {f"{RUN}/taskInstances": page}) as server:
        airflow = Airflow(AirflowSettings(server.url, auth="none"))
        with pytest.raises(AirflowUnreachable, match=NO_API):
            airflow.tasks("quick", "one")


def test_fewer_tasks_than_were_counted() -> None:
    page = (200, {"task_instances": [], "total_entries": 9})
    with Answering(VERSION_2 | {f"{RUN}/taskInstances": page}) as server:
        assert Airflow(AirflowSettings(server.url, auth="none")).tasks("quick", "one") == []


def test_an_answer_that_is_too_long() -> None:
    endless = b" " * 5_000_000 + json.dumps(RUNNING).encode()
    with Answering(VERSION_2 | {RUN: (200, endless)}) as server:
        assert NO_API in str(error_of(server.url))


@pytest.mark.parametrize("path", ["/api/v2/version", RUN])
def test_a_redirect_is_not_followed(path: str) -> None:
    with Answering({"*": (200, RUNNING)}) as other:
        answers = VERSION_2 | {RUN: (200, RUNNING), path: (307, b"")}
        with Answering(answers, {"Location": other.url}) as server:
            error = error_of(server.url, "token", token="a-token")
    assert "HTTP 307" in str(error)
    assert other.requests == []


def test_a_password_goes_into_the_login_only() -> None:
    token = (201, {"access_token": "a-token"})
    with Answering(VERSION_2 | {"/auth/token": token, RUN: (200, RUNNING)}) as server:
        assert ask(server.url, "password", username="u", password="p").state == "running"
    assert server.requests == [
        ("GET", "/api/v2/version", None),
        ("POST", "/auth/token", None),
        ("GET", RUN, "Bearer a-token"),
    ]


def test_no_password_is_taken_from_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with Answering(VERSION_2 | {RUN: (200, RUNNING)}) as server:
        ask(server.url)
    assert server.asked(RUN) == [None]


def test_the_version_and_the_token_are_asked_for_once() -> None:
    token = (201, {"access_token": "a-token"})
    with Answering(VERSION_2 | {"/auth/token": token, RUN: (200, RUNNING)}) as server:
        for _ in range(3):
            ask(server.url, "password", username="u", password="p")
    assert len(server.asked("/api/v2/version")) == 1
    assert len(server.asked("/auth/token")) == 1
    assert server.asked(RUN) == ["Bearer a-token"] * 3


def test_a_login_without_a_token() -> None:
    with Answering(VERSION_2 | {"/auth/token": (201, {"token": "a-token"})}) as server:
        assert NO_API in str(error_of(server.url, "password"))


def test_what_is_said_of_a_secret_is_masked() -> None:
    with Answering(VERSION_2 | {RUN: (400, {"detail": "who is a-token?"})}) as server:
        error = error_of(server.url, "token", token="a-token")
    assert str(error) == "Airflow refuses: who is ***?"


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("first\nsecond", "first"),
        ("a\x1b[1mb", "a\ufffd[1mb"),
        ("x" * 1000, "x" * 300),
        ([{"msg": "no text", "input": "b"}, {"msg": "no date"}], "no text; no date"),
        ([5], ""),
        (5, "5"),
    ],
)
def test_what_is_said_is_one_short_line(detail: object, shown: str) -> None:
    with Answering(VERSION_2 | {RUN: (400, {"detail": detail})}) as server:
        error = error_of(server.url)
    assert str(error) == f"Airflow refuses: {shown or 'HTTP 400'}"
    assert not error.retryable


@pytest.mark.parametrize("token", ["", "two\nlines", "tökén"])
def test_a_token_that_cannot_be_one(token: str) -> None:
    error = error_of("http://127.0.0.1:9", "token", token=token)
    assert str(error) == "the token for Airflow is not one"
    assert error.retryable


@pytest.mark.parametrize(
    "url",
    ["", "airflow:8080", "ftp://airflow", "http://", "http://u:hunter2@airflow", "/x"],
)
def test_a_url_that_cannot_be_one(url: str) -> None:
    error = error_of(url)
    assert str(error) == "Airflow's URL is not one"
    assert error.retryable


@pytest.mark.parametrize(
    "url", ["http://airflow.invalid", f"http://{'a' * 100}.invalid", "http://[", "http://a:99999"]
)
def test_a_url_that_leads_nowhere(url: str) -> None:
    error = error_of(url)
    assert str(error) == f"Airflow cannot be reached at {url}"
    assert error.retryable


def test_settings_hide_their_secrets() -> None:
    settings = AirflowSettings("http://airflow", password="hunter2", token="hunter3")
    assert "hunter" not in f"{settings!r}{settings}{Airflow(settings)!r}"


# Google


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """A place to get tokens, and a service account that is told to get them there."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    token = {"access_token": "of-google", "expires_in": 3600, "token_type": "Bearer"}
    with Answering({"/token": (200, token)}) as server:
        account = {
            "type": "service_account",
            "client_email": "ckan@project.iam.gserviceaccount.com",
            "private_key": pem,
            "token_uri": f"{server.url}/token",
        }
        file = tmp_path / "account.json"
        file.write_text(json.dumps(account), encoding="utf-8")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        yield server


@pytest.fixture
def composer() -> Iterator[Answering]:
    """What asks for Google's token, as Composer does."""

    def run(headers: Mapping[str, str]) -> tuple[int, Any]:
        good = headers["Authorization"] == "Bearer of-google"
        return (200, RUNNING) if good else (401, HTML)

    with Answering(VERSION_2 | {RUN: run}) as server:
        yield server


def test_google_vouches_for_the_account_of_this_machine(
    google: Answering, composer: Answering
) -> None:
    for _ in range(2):
        assert ask(composer.url, "google").state == "running"
    assert {one[2] for one in composer.requests} == {"Bearer of-google"}
    assert len(google.requests) == 1


def test_a_token_of_google_that_is_refused_is_had_anew(
    google: Answering, composer: Answering
) -> None:
    good = google.answers["/token"]
    google.answers["/token"] = (200, {**good[1], "access_token": "of-yesterday"})
    assert str(error_of(composer.url, "google")).endswith("does not let CKAN in: HTTP 401")
    google.answers["/token"] = good
    assert ask(composer.url, "google").state == "running"
    assert composer.asked(RUN)[-2:] == ["Bearer of-yesterday", "Bearer of-google"]


def test_google_gives_no_token(google: Answering, composer: Answering) -> None:
    google.answers["/token"] = (400, {"error": "invalid_grant", "error_description": "gone"})
    error = error_of(composer.url, "google")
    assert isinstance(error, AirflowRefused)
    assert str(error).startswith("Google gives no token for Airflow: ")
    assert "invalid_grant" in str(error)
    assert error.retryable
    assert composer.requests == []


def test_google_cannot_be_reached(google: Answering, composer: Answering) -> None:
    google.close()
    error = error_of(composer.url, "google")
    assert str(error).startswith("Google gives no token for Airflow: ")
    assert error.retryable


def test_google_never_answers(google: Answering, composer: Answering) -> None:
    given_up, answered = threading.Event(), []

    def answer(_: object) -> tuple[int, dict]:
        answered.append(given_up.wait(60))
        return 200, {}

    google.answers["/token"] = answer
    error = error_of(composer.url, "google", timeout_s=0.5)
    assert not answered
    given_up.set()
    assert error.retryable


@pytest.mark.parametrize("account", [None, "{}", "not JSON"])
def test_no_account_of_google(
    account: str | None, composer: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "account.json"
    if account is not None:
        file.write_text(account)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    error = error_of(composer.url, "google")
    assert str(error).startswith("Google gives no token for Airflow: ")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in error.hint


def test_without_googles_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)  # as Python notes that there is none
    error = error_of("http://127.0.0.1:9", "google")
    assert str(error) == "google-auth is not installed"
    assert error.hint == "pip install 'ckanext-aircan[google]'"
    assert error.retryable
