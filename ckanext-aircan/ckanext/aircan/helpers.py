"""A job, as the actions return it -> what the templates write of it: words, icons, spans of time.

Every public function is a template helper. None of them returns HTML: templates escape.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ckan.plugins import toolkit
from ckan.plugins.toolkit import _
from ckanext.aircan import config, model
from sqlalchemy.exc import ProgrammingError

_log = logging.getLogger(__name__)

_NO_ORGANIZATION = "-"

# After these nobody can be sure that the table is the one it was before.
_IN_DOUBT = (
    *("Artifacts", "Ckan", "NotACkan", "DatabaseUnreachable"),
    *("RowsInDoubt", "RowsLost", "Unexpected"),
)


def aircan_org(dataset: Mapping[str, Any]) -> str:
    """Return what stands for the dataset's organisation in the URLs of its runs."""
    organization = dataset.get("organization")
    return organization["name"] if organization else _NO_ORGANIZATION


def aircan_is_going(job: Mapping[str, Any]) -> bool:
    """Return whether the job has not ended yet."""
    return job["status"] in model.GOING


def aircan_poll_s() -> int:
    """Return the seconds between two looks at a job that is going."""
    return config.option("poll_s")


def aircan_status(status: str) -> dict[str, str]:
    """Return a status in words, the name of its icon, and of its colour."""
    looks = {
        "WAITING": (_("Waiting"), "clock", "waiting"),
        "RUNNING": (_("Running"), "circle-notch fa-spin", "running"),
        "DONE": (_("Done"), "circle-check", "done"),
        "FAILED": (_("Failed"), "circle-xmark", "failed"),
        "CANCELLED": (_("Cancelled"), "ban", "cancelled"),
    }
    label, icon, kind = looks.get(status, (status, "circle-question", "cancelled"))
    return {"label": label, "icon": icon, "kind": kind}


def aircan_job_type(job_type: str) -> str:
    """Return the kind of a job in words."""
    words = {"LOAD": _("Load"), "VALIDATE": _("Validation"), "HARVEST": _("Harvest")}
    return words.get(job_type, job_type)


def aircan_trigger(trigger: str | None) -> str:
    """Return what a job was begun by, in words; nothing if nobody knows."""
    words = {
        "change": _("after a change"),
        "submit": _("by hand"),
        "rerun": _("as a re-run"),
        "command": _("from the command line"),
        "airflow": _("in Airflow"),
    }
    return words.get(trigger or "", "")


def aircan_why(why: str) -> str:
    """Return in words why a job was cancelled that nobody has cancelled by hand."""
    words = {
        "resource_deleted": _("The resource was deleted, so its load was cancelled."),
        "dataset_deleted": _("The dataset was deleted, so the load was cancelled."),
        "made_private": _(
            "The dataset was made private, so the load was cancelled. It can be run again."
        ),
    }
    return words.get(why, why)


def aircan_step(name: str | None) -> str:
    """Return a step in words; those of an operator's own DAG keep their names."""
    words = {
        "prepare": _("Look the resource up"),
        "convert": _("Convert the rows"),
        "load": _("Load the rows"),
        "register": _("Show the table in CKAN"),
        "validate": _("Check every row"),
        "report": _("Report"),
    }
    return words.get(name or "", name or "")


def aircan_duration(started: str | None, ended: str | None = None) -> str:
    """Return how long something took, or has taken so far; nothing before it began.

    Args:
        started: ISO 8601 with a zone.
        ended: The same; None if it has not.
    """
    seconds = _seconds(started, ended)
    if seconds is None:
        return ""
    if seconds < 10:
        return _("{seconds} s").format(seconds=toolkit.h.localised_number(round(seconds, 1)))
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    if minutes:
        return _("{minutes} min {seconds} s").format(minutes=minutes, seconds=seconds)
    return _("{seconds} s").format(seconds=seconds)


def aircan_rows_per_second(job: Mapping[str, Any]) -> int | None:
    """Return how fast the rows went in, or are going in; None if nobody can tell."""
    info = job["info"]
    if not aircan_is_going(job):
        return (info.get("report") or {}).get("rows_per_second") or None
    begun = [step["started"] for step in info.get("steps", []) if step["status"] == "RUNNING"]
    seconds = _seconds(begun[-1]) if begun else None
    # The rate of the first moment says nothing.
    return round(info["rows"] / seconds) if info.get("rows") and seconds and seconds > 1 else None


def aircan_last_load(dataset: Mapping[str, Any], resource_id: str) -> dict[str, str] | None:
    """Return of a resource's newest load, if there is one, what all may know who see the dataset.

    One query for all resources of the dataset, however many are asked for in a request.
    """
    found = toolkit.g.setdefault("aircan_last_loads", {})
    if dataset["id"] not in found:
        ids = [resource["id"] for resource in dataset["resources"]]
        found[dataset["id"]] = {id_: job.to_dict() for id_, job in _newest_loads(ids).items()}
    job = found[dataset["id"]].get(resource_id)
    return {name: job[name] for name in ("id", "status", "updated")} if job else None


def _newest_loads(resources: Sequence[str]) -> dict[str, model.Job]:
    try:
        with model.session() as one:
            return model.newest(one, resources, "LOAD")
    except ProgrammingError:  # CKAN's own pages work all the same
        _log.exception("the jobs cannot be read: was `ckan db upgrade -p aircan` run?")
        return {}


def aircan_hint(hint: str) -> str:
    """Return what can be done about an error, where it is done: the loader names its options."""
    places = {
        "--encoding": _('"Encoding" on the DataStore tab'),
        "another --key": _('another "Key" on the DataStore tab'),
        "--key": _('"Key" on the DataStore tab'),
        "--header-row": _('"Header row" on the DataStore tab'),
        "--on-concurrent-writes keep": _(
            '"Added to those of the file, if they fit" on the DataStore tab'
        ),
        "--mode replace": _('"Replaced by those of the file" on the DataStore tab'),
        "--mode upsert": _(
            '"Kept; those of the file are added, or change the row with the same key"'
            " on the DataStore tab"
        ),
        "--max-bytes": _("a higher limit of a file's size, which the portal's operators set"),
        "--max-ratio": _(
            "a higher limit of what a packed file may unpack to, which the portal's operators set"
        ),
        "--min-rate": _("a lower least speed of servers, which the portal's operators set"),
        "--max-bad-rows": _('"max_bad_rows" among the options of aircan_submit'),
        "--on-type-error widen": _('"on_type_error": "widen" among the options of aircan_submit'),
        "--via api": _('"via": "api" among the options of aircan_submit'),
    }
    for option, place in places.items():
        hint = hint.replace(option, place)
    return hint


def aircan_left_as_it_was(job: Mapping[str, Any], resource: Mapping[str, Any] | None) -> bool:
    """Return whether a failed load certainly left the rows that people see as they were."""
    error = job["info"].get("error")
    # A run that has begun, and of whose end nobody has told, may have done its work.
    unheard = error and error.get("type") == "FactoryError" and job["info"].get("started")
    return bool(
        error
        and job["job_type"] == "LOAD"
        and resource
        and resource.get("datastore_active")
        and not unheard
        and not str(error.get("type")).startswith(_IN_DOUBT)
    )


def _seconds(started: str | None, ended: str | None = None) -> float | None:
    if not started:
        return None
    end = datetime.fromisoformat(ended) if ended else datetime.now(timezone.utc)
    return max(0.0, (end - datetime.fromisoformat(started)).total_seconds())
