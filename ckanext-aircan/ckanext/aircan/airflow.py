"""The ids of DAGs, runs and tasks -> what an Airflow knows of them, by its REST API.

In: where Airflow is, and how to log in. Out: runs, tasks, the last lines of logs; what went wrong
as AirflowError, never with a password or a token in it. Holds the last 1 MiB of an answer.

REST API v2 is that of Airflow 3, v1 that of Airflow 2: another login, other logs. No redirect is
followed, since it may lead to another host. Knows ``requests`` and nothing of CKAN.
"""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property, lru_cache, partial
from typing import Any
from urllib.parse import quote

import requests
from ckanext.aircan.printable import one_line

_NOT_LET_IN = {401, 403}
_PASSING_STATUSES = {408, 425, 429} | set(range(500, 600))
_RUN_STATES = {"queued", "running", "success", "failed"}
_TASKS_ASKED = 100  # in one call, as many as Airflow gives unless it is set up otherwise
_ANSWER_BYTES = 1024 * 1024  # of a log some 3,000 lines by v2, 10,000 by v1
_STOP_PAUSES_S = (0.5, 1.0)
_PIECE_BYTES = 64 * 1024
_LOG_LINES = 20_000
_SAID_SHOWN = 300  # characters of what somebody says that a one-line error shows
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_NEVER = datetime.max.replace(tzinfo=timezone.utc)
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")  # no user, whose password would be shown
# As Airflow 2 writes a line unless it is set up otherwise: [time] {file:line} LEVEL - message
_V1_LINE = re.compile(r"^\[(\S+)\] \{[^}]*\} ([A-Z]+) - ")
_FOLD = re.compile("::(end)?group::")  # Airflow's UI folds the lines between two of them


class AirflowError(Exception):
    """Airflow did not do what it was asked.

    Args:
        message: What is wrong, in one line, without a final stop.
        hint: What can be done about it, in one line.
        retryable: Whether the same call may succeed later, if need be when somebody mended it.
    """

    def __init__(self, message: str, hint: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retryable = retryable


class AirflowUnreachable(AirflowError):
    """No connection, no answer in time, HTTP 5xx, or an answer that is none of Airflow's."""


class AirflowStumbled(AirflowUnreachable):
    """An answer of HTTP 5xx: Airflow is there, and could not do it this time."""


class AirflowRefused(AirflowError):
    """Airflow knows no such DAG or task, finds fault with a conf, or does not let us in."""


@dataclass(frozen=True)
class AirflowSettings:
    """Where Airflow is, and how to log in.

    Attributes:
        url: Of its start page.
        api: The version of its REST API: v1, v2, or auto, which asks.
        auth: password; token, a bearer token; google, the account of this machine; none.
        timeout_s: For the connection, for each silence, and for the whole of an answer.
    """

    url: str
    api: str = "auto"
    auth: str = "password"
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    timeout_s: float = 10.0


@dataclass(frozen=True)
class Run:
    """A DagRun; its state is queued, running, success or failed."""

    state: str
    started: datetime | None
    ended: datetime | None
    conf: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskRun:
    """A task of a DagRun.

    Attributes:
        map_index: Of a mapped task; -1 of others.
        state: Airflow's own word; None before it is scheduled.
        tries: How often it was begun, which is the number of its newest log.
    """

    task_id: str
    map_index: int
    state: str | None
    tries: int
    started: datetime | None
    ended: datetime | None


class Airflow:
    """One Airflow.

    Every call raises AirflowUnreachable, or AirflowRefused where the login is not accepted.
    """

    def __init__(self, settings: AirflowSettings) -> None:
        self._access = _access(settings)

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Begin a run; one that was begun before with the same id stays as it is.

        Raises:
            AirflowRefused: There is no such DAG, or the conf is not as it wants it.
            AirflowUnreachable: It may have begun all the same: trigger it again.
        """
        run = {"dag_run_id": run_id, "conf": dict(conf)}
        if self._access.api() == "v2":
            run["logical_date"] = None  # has to be there
        self._call("POST", f"/dags/{_quoted(dag_id)}/dagRuns", passes={409}, json=run)

    def run(self, dag_id: str, run_id: str) -> Run | None:
        """Return a run, or None where Airflow knows none of this id."""
        answer = self._call("GET", _of_run(dag_id, run_id), passes={404})
        if answer.status == 404:
            return None
        with self._access.understanding(answer) as body:
            if body["state"] not in _RUN_STATES:
                raise ValueError(body["state"])
            return Run(body["state"], *_times(body), dict(body.get("conf") or {}))

    def is_paused(self, dag_id: str) -> bool:
        """Return whether Airflow begins no run of a DAG; an unknown one is not paused."""
        answer = self._call("GET", f"/dags/{_quoted(dag_id)}", passes={404})
        return answer.body.get("is_paused") is True

    def stop(self, dag_id: str, run_id: str) -> None:
        """End a run as failed, and its tasks; one that has ended, or is unknown, stays as it is."""
        # Airflow 3.3 answers HTTP 500 where its scheduler begins a task at this moment.
        for pause_s in (*_STOP_PAUSES_S, None):
            run = self.run(dag_id, run_id)
            if run is None or run.state not in ("queued", "running"):
                return
            try:
                self._call("PATCH", _of_run(dag_id, run_id), json={"state": "failed"})
            except AirflowStumbled:
                if pause_s is None:
                    raise
                time.sleep(pause_s)
            else:
                return

    def tasks(self, dag_id: str, run_id: str) -> list[TaskRun]:
        """Return the tasks of a run in the order of their start, those not begun last.

        There are none where Airflow does not know the run.
        """
        found: list[TaskRun] = []
        more = True
        while more:
            page = {"limit": _TASKS_ASKED, "offset": len(found)}
            path = f"{_of_run(dag_id, run_id)}/taskInstances"
            answer = self._call("GET", path, passes={404}, params=page)
            if answer.status == 404:  # v1 gives an empty list
                break
            with self._access.understanding(answer) as body:
                tasks = [_task_run(task) for task in body["task_instances"]]
                found += tasks
                more = tasks and len(found) < body["total_entries"]
        return sorted(found, key=lambda task: task.started or _NEVER)

    def log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1
    ) -> list[str]:
        """Return the last lines of a task's log: time, level, message.

        Args:
            dag_id: Its DAG.
            run_id: Its run.
            task_id: The task.
            try_number: Which of its tries, counted from 1.
            map_index: Which of a mapped task's.

        Returns:
            At most 20,000 lines, of about 1 MiB in all.

        Raises:
            AirflowRefused: There is no such task, or no such try.
        """
        in_v2 = self._access.api() == "v2"
        answer = self._call(
            "GET",
            f"{_of_run(dag_id, run_id)}/taskInstances/{_quoted(task_id)}/logs/{try_number:d}",
            params={"map_index": map_index, "full_content": "true"},
            headers={"Accept": "application/x-ndjson" if in_v2 else "text/plain"},
        )
        records = answer.content.decode("utf-8", "replace").split("\n")
        if not answer.whole:
            del records[0]  # the end of one
        lines = _v2_lines(records) if in_v2 else _v1_lines(records)
        return _newest(lines)

    def _call(
        self, method: str, path: str, passes: Collection[int] = (), **request: object
    ) -> _Answer:
        """Ask, logged in. Statuses that pass are no error, where Airflow itself gives them."""
        access = self._access
        path = f"/api/{access.api()}{path}"
        authorization = access.authorization()
        answer = access.send(method, path, authorization, **request)
        # Airflow 3 says 401 of a token that has expired, 403 of one from before a restart.
        if answer.status in _NOT_LET_IN and (renewed := access.renewed()) != authorization:
            answer = access.send(method, path, renewed, **request)
        if answer.ok or (answer.status in passes and answer.said is not None):
            return answer
        raise access.error(answer)


@dataclass(frozen=True)
class _Answer:
    """An answer of HTTP: its status, the last of its body, and whether that is all of it."""

    status: int
    content: bytes
    whole: bool

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @cached_property
    def body(self) -> dict[str, Any]:
        """The JSON object that it is; empty if it is none."""
        try:
            body = json.loads(self.content) if self.whole else {}
        except (ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) else {}

    @property
    def said(self) -> str | None:
        """What Airflow says is wrong; None if this is none of its errors."""
        if "detail" not in self.body:
            return None
        said = self.body["detail"] or self.body.get("title")  # some of v1 have a title only
        if isinstance(said, list):  # each fault of a request to v2
            said = "; ".join(str(fault.get("msg")) for fault in said if isinstance(fault, dict))
        return str(said)


class _Access:
    """The way into an Airflow: the version of its API, and what it gave to log in with."""

    def __init__(self, settings: AirflowSettings) -> None:
        self._settings = settings
        self._api = "" if settings.api == "auto" else settings.api
        self._jwt = ""
        self._credentials: Any = None  # of Google

    def api(self) -> str:
        """Return the version of its REST API: v2, or v1 if that is all it has."""
        self._api = self._api or self._find_api()
        return self._api

    def authorization(self) -> str:
        """Return the header that lets us in; an empty one where nobody has to log in."""
        settings = self._settings
        if settings.auth == "none":
            return ""
        if settings.auth == "token":
            return _bearer(settings.token)
        if settings.auth == "google":
            return _bearer(self._google_token())
        if self.api() == "v1":
            pair = f"{settings.username}:{settings.password}".encode()
            return f"Basic {b64encode(pair).decode()}"
        jwt = self._jwt = self._jwt or self._log_in()
        return _bearer(jwt)

    def renewed(self) -> str:
        """Return the same, of a new token if one can be had."""
        self._jwt, self._credentials = "", None
        return self.authorization()

    def send(self, method: str, path: str, authorization: str, **request: object) -> _Answer:
        """Send one request, and wait for its answer as long as may be."""
        url, timeout_s = self._url(), self._settings.timeout_s
        request |= {"timeout": timeout_s, "allow_redirects": False, "stream": True}
        end = time.monotonic() + timeout_s
        try:
            with requests.Session() as session:
                session.auth = lambda prepared: prepared  # or it takes a password from ~/.netrc
                session.headers.update({"Authorization": authorization} if authorization else {})
                with session.request(method, url + path, **request) as response:
                    return _Answer(response.status_code, *_last(response, end))
        # Those of requests are OSErrors; of a URL that cannot be there are ValueErrors too.
        except (OSError, ValueError) as error:
            if isinstance(error, requests.Timeout) or time.monotonic() > end:
                message = f"Airflow at {url} does not answer in {timeout_s:g} s"
                raise AirflowUnreachable(message, "is it overloaded? see its log") from None
            message = f"Airflow cannot be reached at {url}"
            hint = "is the URL right, its certificate valid, and Airflow running?"
            raise AirflowUnreachable(message, hint) from None

    def error(self, answer: _Answer) -> AirflowError:
        """Return the error that an answer is."""
        url, status = self._url(), answer.status
        said = self._shown(answer.said or f"HTTP {status}")
        if status in _PASSING_STATUSES:
            return AirflowStumbled(f"Airflow at {url} answers HTTP {status}", "see its log")
        if status in _NOT_LET_IN:
            hint = "check the user and the password, or the token, and what the user may do"
            return AirflowRefused(f"Airflow at {url} does not let CKAN in: {said}", hint)
        if answer.said is None:
            return self._foreign(answer)
        # DAGs come and go with deployments, and are missing for a while after each.
        if status == 404 or "import error" in said.lower():
            hint = "does Airflow have it, and could it read the file of the DAG?"
            return AirflowRefused(f"Airflow refuses: {said}", hint)
        return AirflowRefused(
            f"Airflow refuses: {said}", "check what it was given", retryable=False
        )

    @contextmanager
    def understanding(self, answer: _Answer) -> Iterator[dict[str, Any]]:
        """Give the body, and turn what its reader stumbles over into an error of ours."""
        try:
            yield answer.body
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._foreign(answer) from None

    def _find_api(self) -> str:
        # An Airflow with users of its own tells everybody its version.
        authorization = "" if self._settings.auth == "password" else self.authorization()
        for api in ("v2", "v1"):
            answer = self.send("GET", f"/api/{api}/version", authorization)
            if "version" in answer.body:
                return api
            if answer.status not in (200, 404):
                raise self.error(answer)
        raise self._foreign(answer)

    def _log_in(self) -> str:
        user = {"username": self._settings.username, "password": self._settings.password}
        answer = self.send("POST", "/auth/token", "", json=user)
        if not answer.ok:
            error = self.error(answer)
            error.retryable = True  # whatever is wrong here, it is not the run
            raise error
        with self.understanding(answer) as body:
            return str(body["access_token"])

    def _google_token(self) -> str:
        try:  # an extra, for Composer
            import google.auth  # noqa: PLC0415
            from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
            from google.auth.transport.requests import Request  # noqa: PLC0415
        except ImportError:
            hint = "pip install 'ckanext-aircan[google]'"
            raise AirflowError("google-auth is not installed", hint) from None
        request = partial(Request(), timeout=self._settings.timeout_s)
        try:
            credentials = self._credentials or google.auth.default([_GOOGLE_SCOPE], request)[0]
            if not credentials.valid:
                credentials.refresh(request)
        except GoogleAuthError as error:
            said = self._shown(str(error.args[0] if error.args else error))
            hint = "check GOOGLE_APPLICATION_CREDENTIALS, or the account of this machine"
            message = f"Google gives no token for Airflow: {said}"
            raise AirflowRefused(message, hint) from None
        self._credentials = credentials
        return str(credentials.token)

    def _url(self) -> str:
        if not _URL.fullmatch(self._settings.url):
            raise AirflowError("Airflow's URL is not one", "https://HOST, as of its start page")
        return self._settings.url.rstrip("/")

    def _foreign(self, answer: _Answer) -> AirflowUnreachable:
        return AirflowUnreachable(
            f"no Airflow at {self._url()}: HTTP {answer.status}, and not an answer of its REST API",
            "name the URL of its start page",
        )

    def _shown(self, said: str) -> str:
        """Return one line of what somebody says, without what is secret."""
        for secret in filter(None, (self._settings.password, self._settings.token, self._jwt)):
            said = said.replace(secret, "***")
        # Behind the first line of what is wrong with a conf comes all of its schema.
        return one_line(said.strip().partition("\n")[0])[:_SAID_SHOWN]


# For all that have the same settings, as long as the process lives.
_access = lru_cache(maxsize=8)(_Access)


def _last(response: requests.Response, end: float) -> tuple[bytes, bool]:
    """Return the last of a body, and whether it is all of it."""
    pieces: deque[bytes] = deque()
    held, whole = 0, True
    for piece in response.iter_content(_PIECE_BYTES):
        if time.monotonic() > end:
            raise requests.Timeout
        pieces.append(piece)
        held += len(piece)
        while held - len(pieces[0]) >= _ANSWER_BYTES:
            held -= len(pieces.popleft())
            whole = False
    return b"".join(pieces), whole


def _bearer(token: str) -> str:
    if not (token and token.isascii() and token.isprintable()):  # no header can hold it
        raise AirflowRefused("the token for Airflow is not one", "copy it anew")
    return f"Bearer {token}"


def _quoted(name: str) -> str:
    if name in ("", ".", ".."):  # which would make it another path
        raise AirflowRefused(f"{name!r} is no name of Airflow's", "check it", retryable=False)
    return quote(name, safe="")


def _of_run(dag_id: str, run_id: str) -> str:
    return f"/dags/{_quoted(dag_id)}/dagRuns/{_quoted(run_id)}"


def _task_run(body: Mapping[str, Any]) -> TaskRun:
    number, tries = int(body["map_index"]), int(body["try_number"])
    return TaskRun(str(body["task_id"]), number, body["state"], tries, *_times(body))


def _times(body: Mapping[str, Any]) -> Iterator[datetime | None]:
    """Yield when it began, and when it ended."""
    for text in (body["start_date"], body["end_date"]):
        # Python 3.10 does not know what the Z means.
        yield None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


def _v1_lines(records: Iterable[str]) -> Iterator[str]:
    return (_V1_LINE.sub(r"\1 \2 ", record) for record in records)


def _v2_lines(records: Iterable[str]) -> Iterator[str]:
    for record in records:
        try:
            said = json.loads(record)
            head = said.get("timestamp"), str(said.get("level") or "").upper(), said["event"]
            yield from " ".join(filter(None, head)).splitlines()
            for error in said.get("error_detail") or ():
                yield from f"{error['exc_type']}: {error['exc_value']}".splitlines()
        except (AttributeError, KeyError, TypeError, ValueError):  # not every handler writes JSON
            yield record


def _newest(lines: Iterable[str]) -> list[str]:
    newest = deque((x for x in lines if x.strip() and not _FOLD.search(x)), _LOG_LINES)
    # Before the first line with a time is where Airflow found the log, or why it did not.
    begin = next((n for n, line in enumerate(newest) if line[:4].isdigit()), 0)
    return list(newest)[begin:]
