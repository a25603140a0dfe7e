"""What the factory tells of a job -> the job. The messages are described in docs/status-updates.md.

In: an update, the job's row. Out: the row, changed, unless the update came too late.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ckanext.aircan import received
from ckanext.aircan.model import Job, now

_OF_A_RUN = (
    *("started", "table", "warnings", "report", "artifacts"),
    *("error", "valid", "errors", "first", "problem", "given_up", "cancelling", "why"),
)
_MESSAGES = 200  # kept of a job, the newest
_CANCELLING = timedelta(minutes=2)  # whoever asked Airflow was interrupted, if it takes longer


def hear(job: Job, update: Mapping[str, Any]) -> bool:
    """Change a job as an update says.

    Args:
        job: The row.
        update: Of the factory.

    Returns:
        Whether it was news: not one that came twice, or that a newer one has overtaken.
    """
    sequence = update["sequence"]
    if sequence <= job.info.get("sequence", 0):
        return False
    status, step, message = update["status"], update["step"], update["message"]
    # An older factory does not tell what has become of the table.
    info = {"table": "unknown", **received.info(update["info"])}
    job.put(sequence=sequence)
    # Its tasks tell what they do until they are stopped, and how they are.
    if job.status == "CANCELLED" and status != "DONE":
        job.put(table=info["table"])
        return False
    if job.info.get("given_up") and not (status == "DONE" or _begins(status, step)):
        return False
    if status == "FAILED" and _is_being_cancelled(job):
        job.put(table=info["table"])
        end(job, "CANCELLED", "cancelled")
        return True
    at = _time(sequence)
    said = {"at": at, "step": step, "message": message}
    if status == "RUNNING" and not job.is_going:  # somebody has cleared the run in Airflow
        job.info = {name: v for name, v in job.info.items() if name not in _OF_A_RUN}
    job.status = status
    job.put(
        step=step,
        message=message,
        problem=None,
        why=None,
        started=job.info.get("started") or at,
        ended=None if status == "RUNNING" else at,
        steps=_steps(job.info.get("steps", []), status, step, at),
        messages=_messages(job.info.get("messages", []), said),
        **info,
    )
    return True


def fail(job: Job, message: str, hint: str) -> None:
    """Let a job fail of which the factory has told no end."""
    end(job, "FAILED", message)
    # A run that has begun, and of whose end nobody has told, may have done its work.
    table = "unknown" if job.info.get("started") else "untouched"
    error = {"type": "FactoryError", "message": message, "hint": hint, "table": table}
    job.put(error=error, table=table)


def end(job: Job, status: str, message: str) -> None:
    """End a job of which the factory has told no end."""
    at = now().isoformat()
    steps = job.info.get("steps", [])
    job.status = status
    job.put(
        message=message,
        problem=None,
        ended=at,
        table=job.info.get("table", "unknown" if job.info.get("started") else "untouched"),
        steps=[step if step["ended"] else step | {"status": status, "ended": at} for step in steps],
        messages=_messages(
            job.info.get("messages", []), {"at": at, "step": None, "message": message}
        ),
    )


def _begins(status: str, step: str) -> bool:
    """Return whether a run tells this first."""
    return status == "RUNNING" and step == "prepare"


def _is_being_cancelled(job: Job) -> bool:
    """Return whether Airflow is being asked to end the job's run, or was a moment ago."""
    since = job.info.get("cancelling")
    return bool(since) and now() - datetime.fromisoformat(since) < _CANCELLING


def _time(sequence: int) -> str:
    """Return the time that a sequence is, in microseconds since 1970."""
    return datetime.fromtimestamp(sequence / 1e6, timezone.utc).isoformat()


def _steps(steps: list[dict[str, Any]], status: str, step: str, at: str) -> list[dict[str, Any]]:
    """Return the steps, the newest last; one that begins ends those before."""
    if _begins(status, step) and steps and steps[-1]["name"] != step:
        steps = []  # from the beginning
    same = next((other for other in steps if other["name"] == step), None)
    before = [
        other if other["ended"] else other | {"status": "DONE", "ended": at}
        for other in steps
        if other is not same
    ]
    started = same["started"] if same and not same["ended"] else at
    if status == "FAILED" and same and same["ended"]:
        started = same["started"]
    ended = None if status == "RUNNING" else at
    return [*before, {"name": step, "status": status, "started": started, "ended": ended}]


def _messages(messages: list[dict[str, Any]], said: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages with same more, unless it says what the last same said."""
    last = messages[-1] if messages else {}
    if (last.get("step"), last.get("message")) == (said["step"], said["message"]):
        return messages
    return [*messages, said][-_MESSAGES:]
