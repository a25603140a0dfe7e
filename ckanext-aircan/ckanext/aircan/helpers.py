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
        with model.session() as session:
            return model.newest_load(session, resources)
    except ProgrammingError:  # CKAN's own pages work all the same
        _log.exception("the jobs cannot be read: was `ckan db upgrade -p aircan` run?")
        return {}


def aircan_option(option: str | None) -> str:
    """Return where an option of a load is set; nothing of one that is unknown, or none.

    Args:
        option: As an error names it, which is the loader's name.
    """
    places = {
        "mode": _('"Rows that are there already" on the DataStore tab'),
        "key": _('"Key" on the DataStore tab'),
        "encoding": _('"Encoding" on the DataStore tab'),
        "delimiter": _('"Delimiter" on the DataStore tab'),
        "header_row": _('"Header row" on the DataStore tab'),
        "full_text": _('"Full-text search" on the DataStore tab'),
        "on_concurrent_writes": _(
            '"Rows that others add while a load replaces the table" on the DataStore tab'
        ),
        "schema": _('"schema" of the resource'),
        "dialect": _('"dialect" of the resource'),
        "max_bytes": _("the limit of a file's size, which the portal's operators set"),
        "max_ratio": _(
            "the limit of what a packed file may unpack to, which the portal's operators set"
        ),
        "min_rate": _("the least speed of servers, which the portal's operators set"),
        "default_encoding": _('"Encoding of files in doubt" on the DataStore tab'),
        "types": _('"Dates and numbers in local forms" on the DataStore tab'),
        "dates": _('"Order of day and month" on the DataStore tab'),
        "decimal": _('"Decimal sign" on the DataStore tab'),
        "missing": _('"Signs for no value" on the DataStore tab'),
        "strip": _('"Spaces around text" on the DataStore tab'),
        "keep_types": _('"Types of columns that are there already" on the DataStore tab'),
        "max_bad_rows": _('"Rows that may be set aside" on the DataStore tab'),
        "max_bad_share": _('"Their share of all rows" on the DataStore tab'),
        "on_type_error": _('"on_type_error": "widen" among the options of aircan_submit'),
        "via": _('"via": "api" among the options of aircan_submit'),
        "datastore_url": _("Airflow's connection of the DataStore, which the operators set"),
        "ckan_url": _("Airflow's connection of CKAN, which the operators set"),
        "ckan_token": _("Airflow's connection of CKAN, which the operators set"),
    }
    return places.get(option or "", "")


def aircan_reading(name: str) -> Any:  # noqa: ANN401
    """Return what holds of how a file is read where its resource does not say it."""
    return config.reading().get(name, config.READING[name])


def aircan_is_said(*given: Mapping[str, Any]) -> bool:
    """Return whether a setting of how files are read is among these."""
    return any(one.get(name) not in (None, "") for one in given for name in config.READING)


def aircan_choices(name: str, choices: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Return the choices of a setting of how files are read, and before them that of the portal.

    Args:
        name: The setting.
        choices: ``value`` and ``text`` of each.
    """
    value = str(aircan_reading(name)).lower()
    text = next((one["text"] for one in choices if one["value"] == value), value)
    words = _("{choice} (as in the whole portal)").format(choice=text)
    return [{"value": "", "text": words}, *choices]


def aircan_signs(column: Mapping[str, Any]) -> str:
    """Return the signs for no value that a column has, the most frequent first."""
    signs = sorted((column.get("missing") or {}).items(), key=lambda sign: -sign[1])
    return ", ".join(f"{sign} ({toolkit.h.localised_number(count)})" for sign, count in signs)


def aircan_table(job: Mapping[str, Any], resource: Mapping[str, Any] | None) -> str:
    """Return a sentence about the data that people see after a load that did not go well.

    Args:
        job: The job.
        resource: Its resource; None if it was deleted.

    Returns:
        The sentence; nothing where there was no data and is none, and of what is no ended load.
    """
    if job["job_type"] != "LOAD" or job["status"] not in ("FAILED", "CANCELLED"):
        return ""
    # An older factory, or job, did not tell it.
    table = job["info"].get("table", "unknown")
    if table == "untouched" and not (resource and resource.get("datastore_active")):
        return ""
    words = {
        "untouched": _(
            "This run left the DataStore as it was: the data loaded before is still served."
        ),
        "replaced": _("The rows of this run are in the DataStore, in place of those before."),
        "merged": _("The rows of this run are in the DataStore, with those before."),
        "partly": _(
            "This run stopped half-way: the data in the DataStore is not as before, and incomplete."
        ),
        "dropped": _("The resource was deleted, and its data in the DataStore with it."),
    }
    unknown = _("Whether the rows of this run are in the DataStore is unknown: look at the data.")
    return words.get(table, unknown)


def _seconds(started: str | None, ended: str | None = None) -> float | None:
    if not started:
        return None
    end = datetime.fromisoformat(ended) if ended else datetime.now(timezone.utc)
    return max(0.0, (end - datetime.fromisoformat(started)).total_seconds())
