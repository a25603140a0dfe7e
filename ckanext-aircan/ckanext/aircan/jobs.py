"""The life of a job: asked for, submitted to Airflow, asked after, cancelled, forgotten.

In: what somebody wants of a resource. Out: rows of the jobs table, runs in Airflow. A job that
cannot be submitted waits, and is tried again later and later: nothing is lost while Airflow is
down. Its id makes the run's id, so that trying twice makes one run. No row is locked while Airflow
is asked: whoever saves a resource never waits for it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn

from ckan.plugins import PluginImplementations, toolkit
from ckanext.aircan import background, config, limits, mail, model, tables, updates
from ckanext.aircan.airflow import Airflow, AirflowError, AirflowUnreachable, Run
from ckanext.aircan.interfaces import IAircan
from ckanext.aircan.model import Job
from sqlalchemy.orm import Session

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 15.0, 600.0
_AT_A_TIME = 100
_PASS_S = 100  # CKAN ends background jobs after 180 s unless it is set up otherwise
_SUBMISSION, _SUBMISSION_S = "submission", 60
_STOPPING, _STOPPING_S = "stopping", 60
_LOOKED_AFTER, _LOOKED_AFTER_S = "looked-after", 600  # until a pass has ended, or was lost
_STALE_S = 15
_IN_VAIN = 3  # calls, one after the other: Airflow is away, and the other jobs need not wait for it
# The factory's own word of a run's end may still be on its way.
_STILL_COMING = timedelta(minutes=2)
_NO_NAME = re.compile(r"[^a-z0-9._-]+")
# Of the settings, those that are no options of the load in the factory's conf.
_OWN_KEYS = ("mode", "unique_keys")


@dataclass(frozen=True)
class Wish:
    """What somebody wants of a resource.

    Attributes:
        trigger: What brought it about: ``change``, ``submit``, ``rerun``, ``command``.
        user: The id of who wants it.
        dag_id: By default that for a file of the resource's size.
        conf: ``mode``, ``unique_keys``, ``options``: they win over the resource's settings.
    """

    trigger: str
    user: str | None = None
    dag_id: str | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)


def ask_for(session: Session, resource: Mapping[str, Any], wish: Wish) -> Job:
    """Return a job that waits: a new one, or the one that waits already for the same.

    Args:
        session: Of the database.
        resource: ``id`` and ``package_id``.
        wish: What to do with it.
    """
    asked = dict(wish.conf) | ({"dag_id": wish.dag_id} if wish.dag_id else {})
    info: dict[str, Any] = {"trigger": wish.trigger, "attempts": 0}
    job = model.add(
        session,
        job_type="VALIDATE" if "validate" in (wish.dag_id or "") else "LOAD",
        dataset=resource["package_id"],
        resource=resource["id"],
        user=wish.user,
        info=info | ({"wish": asked} if asked else {}),
    )
    if wish.trigger != "change" and job.info["trigger"] == "change":
        job.user = wish.user
        job.put(trigger=wish.trigger)
    private = model.is_private(session, job.dataset)
    job.put(next_attempt=None, private=private)  # whoever asks again does not want to wait
    return job


# What a job says that was cancelled since nobody may want it any more; shown by helpers.
_WHY = {
    "resource_deleted": "cancelled: the resource was deleted",
    "dataset_deleted": "cancelled: the dataset was deleted",
    "made_private": "cancelled: the dataset was made private",
}


def cancel_lost(which: model.Lost) -> None:
    """Cancel the jobs of what was deleted or made private; their runs end in the background.

    Args:
        which: Where something has changed.
    """
    has_found = _cancel(which)
    with model.session() as session:
        gone = model.gone(session, which)
    if has_found or gone:  # soon: whoever takes the id of one would get its table
        _stop_soon()


def _cancel(which: model.Lost | None = None) -> bool:
    """Cancel jobs that nobody may want; None looks at all that go. Return whether there were."""
    with model.session() as session:
        found = model.lost(session, which)
        for job, why in found:
            _lose(job, why)
    return bool(found)


def _lose(job: Job, why: str) -> None:
    updates.end(job, "CANCELLED", _WHY[why])
    # Airflow may have got it, and may be away when it is to end it.
    job.put(why=why, to_stop=job.is_submitted or "claimed" in job.info)


def _stop_soon() -> None:
    # Thousands of datasets that are deleted one by one need one pass, not thousands.
    if background.claim(_STOPPING, _STOPPING_S):
        background.enqueue(stop_lost, title="stop what was deleted or made private")


@background.logged
def stop_lost() -> None:
    """Drop the tables of what was deleted, and end the runs of jobs that were cancelled."""
    background.release(_STOPPING)  # what is cancelled from now on may be missed below
    end = time.monotonic() + _PASS_S
    tables.drop_gone(end)
    if _stop_lost(end):
        _stop_soon()
    submit_soon()  # another of the resource may have been held


def _stop_lost(end: float) -> bool:
    """End the runs of jobs that were cancelled, as ``_for_each`` does, and drop their tables."""
    with model.session() as session:
        left = model.to_stop(session, _AT_A_TIME)
    may_go_on = _for_each(left, _stop_one, end)
    if left:
        tables.drop_gone(end)  # what they may have put there already
    return may_go_on


def _stop_one(job_id: str) -> None:
    with model.session() as session:
        job = model.look(session, job_id)
    if job is None or job.status != "CANCELLED" or not job.info.get("to_stop"):
        return
    trouble = _stop(job)
    with model.session() as session:
        job = model.get(session, job_id)
        if job is not None and trouble is None:
            job.put(to_stop=False)
        elif job is not None:  # the others come first the next time
            job.info = {**job.info, "stop_tried": model.now().isoformat()}
    if trouble is not None:
        raise trouble


def _for_each(job_ids: list[str], ask: Callable[[str], object], end: float) -> bool:
    """Ask Airflow something for each job, for the first in any case.

    Args:
        job_ids: At most ``_AT_A_TIME``.
        ask: Raises AirflowError, and has logged it, if Airflow cannot be asked.
        end: When there is no time left.

    Returns:
        Whether the same can be done at once for others: Airflow is there, and there may be more.
    """
    in_vain = 0
    for job_id in job_ids:
        try:
            ask(job_id)
            in_vain = 0
        except AirflowError:
            in_vain += 1
        except Exception:  # noqa: BLE001  (the others have their turn all the same)
            in_vain += 1
            _log.exception("nothing could be done for job %s", job_id)
        if in_vain == _IN_VAIN:
            return False
        if time.monotonic() > end:
            return in_vain == 0
    return len(job_ids) == _AT_A_TIME


def is_taken_care_of(job: Job | None, resource: Mapping[str, Any]) -> bool:
    """Tell whether this very file is being loaded, or was.

    Args:
        job: The newest load of the resource.
        resource: As ``source`` takes it, and ``datastore_active``.
    """
    if job is None or job.info.get("source") != source(resource):
        return False
    return job.is_going or (job.status == "DONE" and bool(resource.get("datastore_active")))


def source(resource: Mapping[str, Any]) -> str:
    """Return what tells a resource's file from another; a digest, since a URL may hold secrets.

    Args:
        resource: ``url``, ``url_type`` and ``last_modified``.
    """
    url = str(resource.get("url") or "")
    if resource.get("url_type") == "upload":
        url = url.rpartition("/")[2]  # CKAN shows the whole of it, but keeps the name only
    known = json.dumps([url, str(resource.get("last_modified") or "")])
    return hashlib.sha256(known.encode()).hexdigest()


def _dag_for(resource: Mapping[str, Any]) -> str:
    size = resource.get("size")
    is_large = size is not None and int(size) >= config.option("large_bytes")
    return config.option("large_dag_id") if is_large else "aircan_load"


def submit_soon() -> None:
    """Have all that waits submitted, in the background; a page or a call does not wait for it."""
    # Thousands of resources that are saved at once need one pass, not thousands.
    if background.claim(_SUBMISSION, _SUBMISSION_S):
        background.enqueue(submit_due, title="submit what waits")


@background.logged
def submit_due() -> None:
    """Submit what waits and is due."""
    background.release(_SUBMISSION)  # what is asked for from now on may be missed below
    _submit_due(time.monotonic() + _PASS_S)


def _submit_due(end: float) -> None:
    with model.session() as session:
        due = model.due(session, _AT_A_TIME)
    if _for_each(due, _attempt, end):
        submit_soon()


def look_after(found: Iterable[Job]) -> None:
    """Have jobs looked after, in the background, that somebody looks at and nobody has told of.

    Args:
        found: What is looked at.
    """
    stale = model.now() - timedelta(seconds=_STALE_S)
    if not any(job.is_going and job.updated < stale for job in found):
        return
    # Each open page asks every few seconds; while Airflow hangs, a pass takes a minute or two.
    if background.claim(_LOOKED_AFTER, _LOOKED_AFTER_S):
        background.enqueue(reconcile, title="look after what is going")


@background.logged
def reconcile() -> None:
    """Submit what waits and is due; ask Airflow after what has been submitted.

    What was deleted or made private without a word to us, by SQL for one, is cancelled first. What
    needs no Airflow comes before what does, and all of it ends in time, though Airflow hangs.
    """
    end = time.monotonic() + _PASS_S
    try:
        _cancel()
        tables.drop_gone(end)
        _stop_lost(end)  # when Airflow was away
        _submit_due(end)
        with model.session() as session:
            going = model.submitted(session, _AT_A_TIME)
        _for_each(going, _ask_after, end)
        mail.send_soon()
    finally:
        background.hold(_LOOKED_AFTER, _STALE_S)


def submit(job_id: str) -> Job | None:
    """Give a job that waits to Airflow; if that cannot be, it waits on.

    Returns:
        The job; None if it is not to be done at all.
    """
    try:
        return _attempt(job_id)
    except AirflowUnreachable:
        with model.session() as session:
            return model.look(session, job_id)


def _attempt(job_id: str) -> Job | None:
    try:
        return _submit(job_id)
    except AirflowUnreachable:
        raise
    except Exception as error:  # noqa: BLE001  (a plugin's, say: the job must not get lost)
        _log.exception("job %s could not be submitted", job_id)
        problem = f"CKAN could not submit it: {type(error).__name__}, see its log"
        with model.session() as session:
            job = model.get(session, job_id)
            return job and _wait(session, job, problem)


def _submit(job_id: str) -> Job | None:
    with model.session() as session:
        job = model.get(session, job_id)
        if (
            job is None
            or job.is_submitted
            or job.status != "WAITING"
            or model.is_held(session, job)
        ):
            return job
        conf = _claim(session, job)
        if conf is None:
            return job if job.status == "CANCELLED" else None
    error = None
    try:
        config.airflow().trigger(job.info["dag_id"], job.run_id, conf)
    except AirflowError as trouble:
        error = trouble
    with model.session() as session:
        job = model.get(session, job_id)
        if job is None:
            return None
        job = _settle(session, job, error)
    if job is not None and job.status == "CANCELLED":  # meanwhile
        _stop(job)
    if isinstance(error, AirflowUnreachable):
        raise error
    if job is not None and job.status == "FAILED":
        mail.tell_soon(job)
    return job


def _claim(session: Session, job: Job) -> dict[str, Any] | None:
    """Return the conf of a job's run, and note that it is being submitted; None if it is not."""
    if why := model.why_lost(session, job):
        _lose(job, why)
        return None
    resource = _resource(job)
    if resource is None:  # deleted just now
        _lose(job, "resource_deleted")
        return None
    if job.info["trigger"] == "change" and not is_wanted(resource):
        session.delete(job)
        return None
    dag_id = job.info.get("wish", {}).get("dag_id") or _dag_for(resource)
    job.factory_id = job.run_id
    job.put(dag_id=dag_id, source=source(resource), claimed=model.now().isoformat())
    return _conf(session, job, resource)


def _resource(job: Job) -> dict[str, Any] | None:
    context = {"ignore_auth": True, "user": ""}
    try:
        resource: dict[str, Any] = toolkit.get_action("resource_show")(
            context, {"id": job.resource}
        )
    except toolkit.ObjectNotFound:
        return None
    return resource


def is_wanted(resource: Mapping[str, Any]) -> bool:
    """Ask the plugins whether a resource may be loaded."""
    return all(plugin.can_load(resource) for plugin in PluginImplementations(IAircan))


def _settle(session: Session, job: Job, error: AirflowError | None) -> Job | None:
    """Note what became of a submission; what was told of the run meanwhile is true already."""
    if error is None or job.status != "WAITING":
        job.put(submitted=model.now().isoformat(), next_attempt=None, problem=None)
        return job
    if error.retryable:
        return _wait(session, job, str(error))
    updates.fail(job, str(error), error.hint)
    return job


def _wait(session: Session, job: Job, problem: str) -> Job | None:
    """Have a job wait, longer each time; None if one like it was asked for meanwhile."""
    if job.status != "WAITING":
        return job
    if job.is_submitted and model.has_successor(session, job):
        session.delete(job)
        return None
    attempts = job.info["attempts"] + 1
    pause_s = min(_FIRST_PAUSE_S * 2 ** min(attempts - 1, 10), _LONGEST_PAUSE_S)
    at = model.now() + timedelta(seconds=pause_s)
    job.factory_id = None
    job.put(attempts=attempts, problem=problem, next_attempt=at.isoformat())
    _log.warning("job %s waits: %s", job.id, problem)
    return job


def _conf(session: Session, job: Job, resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conf of the run. It has no path: Airflow shows it, and a URL may hold secrets."""
    wish = job.info.get("wish", {})
    settings = model.settings_of(session, job.resource) | {
        name: wish[name] for name in _OWN_KEYS if name in wish
    }
    options = config.reading()
    options |= {name: v for name, v in settings.items() if name not in _OWN_KEYS}
    options |= wish.get("options", {})
    for name in limits.TIGHTER:
        limit = limits.tighter(name, options.get(name), config.option(name))
        if limit is not None:
            options[name] = limit
    title = str(resource.get("name") or resource["id"])
    conf = {
        "resource": {
            "name": _NO_NAME.sub("-", title.lower()).strip("-") or "resource",
            "format": (resource.get("format") or "csv").lower(),
            "resource_id": resource["id"],
            "package_id": resource["package_id"],
        },
        "options": options,
        "ckan_api_endpoint": config.api_endpoint(),
        "job_id": job.id,
        "ckan_conn_id": config.option("ckan_conn_id"),
        "datastore_conn_id": config.option("datastore_conn_id") or None,
    }
    if job.job_type == "LOAD":
        conf |= {
            "mode": settings.get("mode", "replace"),
            "unique_keys": settings.get("unique_keys", []),
        }
        job.put(mode=conf["mode"], unique_keys=conf["unique_keys"])
    job.put(options=options)
    return conf


def hear(update: Mapping[str, Any]) -> Job:
    """Take in what the factory tells of a job.

    Raises:
        ObjectNotFound: There is no such job.
        ValidationError: It is another resource's, or the run another job's.
    """
    with model.session() as session:
        job = _job_of(session, update)
        was = job.status
        news = updates.hear(job, update)
    if news and job.status != was:
        _follow(job)
    return job


def _job_of(session: Session, update: Mapping[str, Any]) -> Job:
    """Return the job that an update is of; one that began in Airflow is new here."""
    run_id, resource_id = update["run_id"], update["resource_id"]
    job = model.get(session, update["job_id"]) if update.get("job_id") else None
    if update.get("job_id") and job is None:
        raise toolkit.ObjectNotFound(toolkit._("There is no such job"))
    if job is not None and (job.resource != resource_id or model.is_of_a_former(session, job)):
        raise toolkit.ValidationError({"job_id": [toolkit._("The job is another resource's")]})
    if job is not None and run_id in (job.run_id, job.factory_id):
        if not job.is_submitted or "submitted" not in job.info:  # Airflow's answer to us was lost
            job.factory_id = run_id
            dag_id = job.info.get("dag_id") or update["dag_id"]
            job.put(dag_id=dag_id, submitted=model.now().isoformat())
        return job
    if run_id.startswith(model.RUN):  # whose job another one would be taken for
        raise toolkit.ValidationError({"run_id": [toolkit._("The run is another job's")]})
    resource = toolkit.get_action("resource_show")(
        {"ignore_auth": True, "user": ""}, {"id": resource_id}
    )
    job = model.add(
        session,
        factory_id=run_id,
        job_type=update["job_type"],
        dataset=resource["package_id"],
        resource=resource_id,
        info={
            "dag_id": update["dag_id"],
            "trigger": "airflow",
            "private": model.is_private(session, resource["package_id"]),
            "submitted": model.now().isoformat(),
        },
    )
    if job.dataset != resource["package_id"]:
        raise toolkit.ValidationError({"run_id": [toolkit._("The run is another job's")]})
    return job


def _follow(job: Job) -> None:
    """Do what follows a job's end."""
    if job.is_going:
        return
    submit_soon()  # another of the resource may have been held
    if job.status == "FAILED":
        mail.tell_soon(job)
    # Where no plugin wants to hear of it, submissions have nothing to wait behind.
    if job.status == "DONE" and job.job_type == "LOAD" and any(PluginImplementations(IAircan)):
        background.enqueue(after_load, job.id, title="after a load")


@background.logged
def after_load(job_id: str) -> None:
    """Let the plugins do what is to follow a load."""
    with model.session() as session:
        job = model.look(session, job_id)
        why = model.why_lost(session, job) if job is not None else None
    resource = _resource(job) if job is not None and why in (None, "made_private") else None
    if job is None or resource is None:
        return
    for plugin in PluginImplementations(IAircan):
        plugin.after_load(resource, job.to_dict())


def _ask_after(job_id: str) -> None:
    try:
        _refresh(job_id)
    except AirflowError as error:
        _log.warning("job %s could not be asked after: %s", job_id, error)
        raise


def refresh(job_id: str) -> Job | None:
    """Ask Airflow after a job; one that Airflow lost, or that took too long, has failed."""
    try:
        return _refresh(job_id)
    except AirflowError:
        with model.session() as session:
            return model.look(session, job_id)


def _refresh(job_id: str) -> Job | None:
    with model.session() as session:
        job = model.look(session, job_id)
    if job is None or not (job.is_going and job.is_submitted):
        return job
    run = problem = trouble = None
    try:
        airflow, dag_id = config.airflow(), job.info["dag_id"]
        run = airflow.run(dag_id, job.factory_id)
        if run is not None and run.state == "queued" and airflow.is_paused(dag_id):
            problem = f"the DAG {dag_id} is paused in Airflow"
    except AirflowError as error:
        trouble, problem = error, str(error)
    with model.session() as session:
        job = model.get(session, job_id)
        if job is None or not (job.is_going and job.is_submitted):
            return job
        job.put(problem=problem)
        if run is not None:
            _compare(job, run)
        elif trouble is None:
            job = _miss(session, job)
        is_late = job is not None and job.status == "RUNNING" and _age(job, "started") > _timeout()
        if is_late:
            hours = config.option("timeout_hours")
            hint = "see its log in Airflow; ckanext.aircan.timeout_hours is how long a job may take"
            updates.fail(job, f"it has not ended within {hours} hours", hint)
            job.put(given_up=True)
    if is_late and trouble is None:
        _stop(job)
    if job is not None:
        _follow(job)
    if trouble is not None:
        raise trouble
    return job


def _miss(session: Session, job: Job) -> Job | None:
    """Note that Airflow does not know the run of a job."""
    if "submitted" not in job.info:  # whoever was submitting it was interrupted
        is_old = _age(job, "claimed") > _STILL_COMING
        return _wait(session, job, "Airflow has not got it") if is_old else job
    if _age(job, "submitted") > _STILL_COMING:
        hint = "somebody has deleted it there: submit the resource again"
        updates.fail(job, f"Airflow has no run {job.factory_id} of {job.info['dag_id']}", hint)
    return job


def _compare(job: Job, run: Run) -> None:
    if "submitted" not in job.info:  # whoever submitted it was interrupted
        job.put(submitted=model.now().isoformat())
    if run.state == "running" and job.status == "WAITING":
        job.status = "RUNNING"
        job.put(started=(run.started or model.now()).isoformat())
    elif run.ended is not None and model.now() - run.ended > _STILL_COMING:
        if run.state == "success":
            updates.end(job, "DONE", "Airflow says that it went well; its own report did not come")
        elif run.state == "failed":
            hint = "see its log in Airflow, and whether Airflow's workers can reach this CKAN"
            updates.fail(job, "the run failed in Airflow, and its own report did not come", hint)


def is_alone(job: Job, airflow: Airflow) -> bool:
    """Return whether the run of a job is about its resource and no other.

    Only then may who edits the resource read the run's log, and stop it: what an update says of a
    run that did not begin here is no proof, and other runs are about many resources.

    Raises:
        AirflowError: Airflow cannot be asked.
    """
    if job.factory_id in (None, job.run_id):
        return True
    run = airflow.run(job.info["dag_id"], job.factory_id)
    if run is None:
        return True  # there is nothing to read or to stop
    asked = run.conf.get("resource")
    return job.resource == (asked.get("resource_id") if isinstance(asked, dict) else asked)


def _stop(job: Job) -> AirflowError | None:
    """End the run of a job that has ended for CKAN; return why that has to be tried again."""
    try:
        airflow = config.airflow()
        if is_alone(job, airflow):
            airflow.stop(
                job.info["dag_id"], job.run_id if job.factory_id is None else job.factory_id
            )
    except AirflowError as error:
        _log.warning("the run of job %s could not be stopped: %s", job.id, error)
        return error if error.retryable else None
    return None


def _timeout() -> timedelta:
    return timedelta(hours=config.option("timeout_hours"))


def _age(job: Job, since: str) -> timedelta:
    at = job.info.get(since)
    return model.now() - (datetime.fromisoformat(at) if at else job.created)


def cancel(job_id: str) -> Job:
    """Cancel a job that has not ended.

    Raises:
        ObjectNotFound: There is no such job.
        ValidationError: It has ended, or its run cannot be stopped.
    """
    with model.session() as session:
        job = model.look(session, job_id)
    if job is None:
        raise toolkit.ObjectNotFound(toolkit._("There is no such job"))
    if not job.is_going:
        _refuse(toolkit._("The job has ended"))
    if job.is_submitted:
        _stop_for_somebody(job)
    with model.session() as session:
        job = model.get(session, job_id)
        if job is None:
            raise toolkit.ObjectNotFound(toolkit._("There is no such job"))
        job.put(cancelling=None)
        if job.is_going:
            updates.end(job, "CANCELLED", "cancelled")
    if not job.is_submitted and "claimed" in job.info:  # Airflow may have got it all the same
        _stop(job)
    submit_soon()
    return job


def _stop_for_somebody(job: Job) -> None:
    """End the run of a job, or refuse to cancel it."""
    try:
        airflow = config.airflow()
        if not is_alone(job, airflow):
            _refuse(toolkit._("Its run is about other resources, too: stop it in Airflow"))
        _note_cancelling(job.id, model.now().isoformat())
        airflow.stop(job.info["dag_id"], job.factory_id)
    except AirflowError as error:
        left = _note_cancelling(job.id, None)
        if left is None or left.status != "CANCELLED":  # it has ended by itself otherwise
            _refuse(
                toolkit._("It cannot be stopped now: {why}").format(why=f"{error}; {error.hint}")
            )


def _note_cancelling(job_id: str, since: str | None) -> Job | None:
    """Note that Airflow is told to end a job's run: what is told of its end may come before."""
    with model.session() as session:
        job = model.get(session, job_id)
        if job is not None:
            job.put(cancelling=since)
    return job


def _refuse(why: str) -> NoReturn:
    raise toolkit.ValidationError({"id": [why]})
