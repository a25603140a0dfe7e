"""What can be asked for through CKAN's API: each checks the right to it and the data, and works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ckan.plugins import PluginImplementations, toolkit
from ckan.types import Action, Context, DataDict, Schema
from ckanext.aircan import changes, config, jobs, logs, model, received, rejects, tables
from ckanext.aircan.interfaces import IAircan
from ckanext.aircan.logic import schema

_NAMES = ("id", "resource_id", "resource", "dataset", "user")
# Of a job's info, what those may see who only see the dataset.
_OPEN = ("dag_id", "started", "ended", "step", "rows", "progress", "steps", "why")


def aircan_submit(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Have a resource loaded, or whatever else a DAG does with it.

    Args:
        context: CKAN's.
        data_dict: ``resource_id`` (or ``resource``); optional ``dataset``, which it has to be of,
            ``dag_id``, and, for this time only, ``mode``, ``unique_keys``, ``options`` as in the
            DAG's conf. ``force``: false leaves alone a file that was loaded already.

    Returns:
        The job: the one that waits, if there is one.
    """
    resource_id = data_dict.get("resource_id") or data_dict.get("resource")
    data_dict = {**data_dict, "resource_id": resource_id}
    data = _checked("aircan_submit", context, data_dict, schema.submit())
    resource = toolkit.get_action("resource_show")(context, {"id": data["resource_id"]})
    _check_wish(data, resource)
    conf = {name: data[name] for name in ("mode", "unique_keys", "options") if name in data}
    wish = jobs.Wish(data["trigger"], _user_id(context), data.get("dag_id"), conf)
    with model.session() as session:
        last = model.newest_load(session, [resource["id"]]).get(resource["id"])
        if not data["force"] and jobs.is_taken_care_of(last, resource):
            return last.to_dict()
        job = jobs.ask_for(session, resource, wish)
    jobs.submit_soon()
    return job.to_dict()


def _check_wish(data: Mapping[str, Any], resource: Mapping[str, Any]) -> None:
    dags = list(dict.fromkeys([*config.option("dags"), config.option("large_dag_id")]))
    if data.get("dag_id") and data["dag_id"] not in dags:
        why = toolkit._("Must be one of {dags}").format(dags=", ".join(dags))
        raise toolkit.ValidationError({"dag_id": [why]})
    if dataset := data.get("dataset"):
        shown = toolkit.get_action("package_show")({"ignore_auth": True}, {"id": dataset})
        if shown["id"] != resource["package_id"]:
            raise toolkit.ValidationError(
                {"dataset": [toolkit._("The resource is of another dataset")]}
            )
    if not jobs.is_wanted(resource):
        why = toolkit._("A plugin does not let it be loaded")
        raise toolkit.ValidationError({"resource_id": [why]})


@toolkit.side_effect_free
def aircan_status(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Return the newest load of a resource: ``status``, which may be NONE, and ``job``."""
    data = _checked("aircan_status", context, data_dict, schema.resource())
    with model.session() as session:
        job = model.newest_load(session, [data["resource_id"]]).get(data["resource_id"])
    if job is None:
        return {"status": "NONE", "job": None}
    return {"status": job.status, "job": _shown(context, job)}


def aircan_status_update(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Take in what the factory tells of a job; docs/status-updates.md describes it."""
    # Messages and values come out of files, where anything may be.
    storable = received.storable(data_dict)
    data = _checked("aircan_status_update", context, storable, schema.status_update())
    return jobs.hear(data).to_dict()


def aircan_columns_change(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Ask the plugins whether the columns of a table may change; the factory asks before a swap."""
    data = _checked("aircan_columns_change", context, data_dict, schema.columns_change())
    resource = toolkit.get_action("resource_show")(context, {"id": data["resource_id"]})
    for plugin in PluginImplementations(IAircan):
        plugin.before_columns_change(resource, data.get("before", []), data.get("after", []))
    return {"resource_id": resource["id"]}


def aircan_table_drop(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Drop the DataStore table of a deleted resource, which no action of CKAN 2.12 does.

    A load asks for it whose resource was deleted before its last rows came. Of one that was purged,
    only a job tells that it was there: without one, the table may be whose it will.
    """
    data = _checked("aircan_table_drop", context, data_dict, schema.resource())
    resource = model.model.Resource.get(data["resource_id"])
    if resource is not None and resource.state != "deleted":
        why = toolkit._("The resource is not deleted")
        raise toolkit.ValidationError({"resource_id": [why]})
    with model.session() as session:
        was_there = resource is not None or data["resource_id"] in model.gone(session)
    if not was_there:
        raise toolkit.ObjectNotFound(toolkit._("Resource not found"))
    tables.drop(data["resource_id"])
    return {"resource_id": data["resource_id"]}


@toolkit.chained_action
def bulk_update_private(original: Action, context: Context, data_dict: DataDict) -> Any:  # noqa: ANN401
    """Make datasets private, of which CKAN 2.11 tells nobody; their jobs are cancelled."""
    return _bulk_update(original, context, data_dict)


@toolkit.chained_action
def bulk_update_delete(original: Action, context: Context, data_dict: DataDict) -> Any:  # noqa: ANN401
    """Delete datasets, in the same way."""
    return _bulk_update(original, context, data_dict)


def _bulk_update(original: Action, context: Context, data_dict: DataDict) -> Any:  # noqa: ANN401
    meant = data_dict.get("datasets") or []
    done = original(context, data_dict)
    changes.cancel(model.Lost(datasets=set(map(str, meant))))
    return done


@toolkit.side_effect_free
def aircan_job_list(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Return ``count`` and ``jobs``, the newest first.

    Args:
        context: CKAN's.
        data_dict: Any of ``dataset``, ``resource``, ``user``, ``status``, ``job_type``; ``limit``,
            by default 20 and at most 100, and ``offset``.
    """
    data = _checked("aircan_job_list", context, data_dict, schema.job_list())
    which = model.Filter(
        datasets=_dataset_ids(data),
        resource=data.get("resource"),
        user=_id_of_user(data.get("user")),
        status=data.get("status"),
        job_type=data.get("job_type"),
    )
    with model.session() as session:
        named = data.get("dataset") or data.get("resource")
        # Who wanted a load is for who may edit: it is not to be found out by asking for each user.
        action = (
            "package_update" if which.user and which.user != _user_id(context) else "package_show"
        )
        if not _is_sysadmin(context) and (action == "package_update" or not named):
            seen = [d for d in model.datasets(session, which) if _may(context, action, d)]
            which = replace(which, datasets=seen)
        count, found = model.listed(session, which, data["limit"], data["offset"])
    jobs.look_after(found)
    return {"count": count, "jobs": [_shown(context, job) for job in found]}


@toolkit.side_effect_free
def aircan_job_show(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Return a job; Airflow is asked after one that has not ended.

    Args:
        context: CKAN's.
        data_dict: ``id``; ``ask``: false asks nobody, and never waits, as it is for those who may
            not edit the dataset.
    """
    data = _checked("aircan_job_show", context, data_dict, schema.job_show())
    job = _job(data["id"])
    if data["ask"] and _may(context, "package_update", job.dataset):
        job = jobs.refresh(job.id) or job
    else:
        jobs.look_after([job])
    return _shown(context, job)


@toolkit.side_effect_free
def aircan_job_log(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Return a page of what a step of a job has logged, by default the last page of the last one.

    Args:
        context: CKAN's.
        data_dict: ``id``; optional ``step`` and ``page``, counted from 1.
    """
    data = _checked("aircan_job_log", context, data_dict, schema.log())
    job = _job(data["id"])
    return logs.page(job, data.get("step"), data.get("page"))


def aircan_job_cancel(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Stop a job that waits or runs."""
    data = _checked("aircan_job_cancel", context, data_dict, schema.job())
    return jobs.cancel(data["id"]).to_dict()


@toolkit.side_effect_free
def aircan_rejects(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Return how many rows a load has set aside, the first of them, and where all of them are."""
    data = _checked("aircan_rejects", context, data_dict, schema.job())
    job = _job(data["id"])
    bad = (job.info.get("report") or {}).get("bad_rows") or {}
    url = None
    if rejects.place(job.info) is not None:
        where = {"org": "-", "dataset": job.dataset, "id": job.id}
        url = toolkit.url_for("aircan.rejects", **where, qualified=True)
    return {
        "job_id": job.id,
        "rejected": bad.get("rejected", 0),
        "first": bad.get("first", []),
        "url": url,
    }


@toolkit.side_effect_free
def aircan_settings_show(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Return how a resource is to be loaded, as far as somebody has said so."""
    data = _checked("aircan_settings_show", context, data_dict, schema.resource())
    with model.session() as session:
        return model.settings_of(session, data["resource_id"])


def aircan_settings_update(context: Context, data_dict: DataDict) -> dict[str, Any]:
    """Say how a resource is to be loaded from now on; what is left out is AirCan's to choose.

    Args:
        context: CKAN's.
        data_dict: ``resource_id``; ``mode``, ``unique_keys``, ``encoding``, ``delimiter``,
            ``header_row``, ``full_text``, ``on_concurrent_writes``; ``default_encoding``,
            ``types``, ``dates``, ``decimal``, ``missing``, ``strip``, ``keep_types``,
            ``max_bad_rows`` and ``max_bad_share``, which win over what the portal says.
    """
    data = _checked("aircan_settings_update", context, data_dict, schema.settings())
    resource_id = data.pop("resource_id")
    if data.get("mode") == "upsert" and not data.get("unique_keys"):
        raise toolkit.ValidationError({"unique_keys": [toolkit._("Upsert needs a key")]})
    with model.session() as session:
        model.put_settings(session, resource_id, data, _user_id(context))
    return data


def _checked(
    action: str,
    context: Context,
    data_dict: Mapping[str, Any],
    fields: Schema,
) -> dict[str, Any]:
    """Return the data, if it is valid, and the user may do that with it."""
    for name, value in data_dict.items():
        is_no_name = name in _NAMES and not isinstance(value, str | None)
        if received.storable(value) != value or is_no_name:
            raise toolkit.ValidationError({name: [toolkit._("Is no text that can be stored")]})
    toolkit.check_access(action, context, data_dict)
    data, errors = toolkit.navl_validate(dict(data_dict), fields, context)
    if errors:
        raise toolkit.ValidationError(errors)
    return {name: value for name, value in data.items() if name in fields}


def _job(job_id: str) -> model.Job:
    with model.session() as session:
        job = model.look(session, job_id)
    if job is None:
        raise toolkit.ObjectNotFound(toolkit._("There is no such job"))
    return job


def _shown(context: Context, job: model.Job) -> dict[str, Any]:
    """Return a job as far as the user may see it."""
    shown = job.to_dict()
    if _may(context, "package_update", job.dataset):
        return shown
    info = {name: shown["info"][name] for name in _OPEN if name in shown["info"]}
    return shown | {"user": None, "factory_id": None, "info": info}


def _may(context: Context, action: str, dataset: str) -> bool:
    # A context of its own: CKAN keeps the dataset of the last question in it.
    kept = ("user", "auth_user_obj", "ignore_auth")
    asker = {name: context[name] for name in kept if name in context}
    try:
        toolkit.check_access(action, asker, {"id": dataset})
    except (toolkit.NotAuthorized, toolkit.ObjectNotFound):
        return False
    return True


def _is_sysadmin(context: Context) -> bool:
    user = context.get("auth_user_obj")
    return bool(context.get("ignore_auth") or getattr(user, "sysadmin", False))


def _user_id(context: Context) -> str | None:
    return getattr(context.get("auth_user_obj"), "id", None)


def _id_of_user(name_or_id: str | None) -> str | None:
    if name_or_id is None:
        return None
    user = model.model.User.get(name_or_id)
    return user.id if user is not None else name_or_id


def _dataset_ids(data: Mapping[str, Any]) -> list[str] | None:
    if not data.get("dataset"):
        return None
    package = model.model.Package.get(data["dataset"])
    return [package.id] if package is not None else []
