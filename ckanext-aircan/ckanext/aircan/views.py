"""Requests of browsers -> pages: the runs of a dataset, one run, the DataStore tab of a resource.

In: URLs and forms. Out: HTML; for htmx, only the part of it that changes. All that is shown and
done comes from the actions, which decide who may see and do what. Nothing here waits for Airflow
but ``run_log``, which a page fetches apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ckan.plugins import toolkit
from ckan.plugins.toolkit import _
from ckanext.aircan import config, received, rejects
from ckanext.aircan.helpers import aircan_org
from ckanext.aircan.logic.schema import JOB_TYPES, STATUSES
from flask import Blueprint, Response, abort, current_app, make_response

aircan = Blueprint("aircan", __name__)

_ACTIONS = "/@<org>/<dataset>/actions"
_RUN = f"{_ACTIONS}/runs/<id>"
_PAGE = 20
_STOP_POLLING = 286  # to htmx
_LAST_PAGE = 100_000  # a greater number is no bigint of Postgres any more, times 20
_FILTERS = ("status", "job_type", "resource")
_SETTINGS = (
    *("mode", "encoding", "delimiter", "header_row"),
    *("full_text", "on_concurrent_writes"),
    *config.READING,
)


@aircan.before_request
def _check_form() -> None:
    """Refuse a form without the token of the user's session.

    CKAN 2.11 checks none for extensions by default, and 2.12 none any more for a view that was
    once called with an API token.
    """
    if current_app.config["WTF_CSRF_ENABLED"] and not toolkit.g.get("login_via_auth_header"):
        current_app.extensions["csrf"].protect()


@aircan.get(f"{_ACTIONS}/")
def runs(org: str, dataset: str) -> Response:
    """List the runs of a dataset, the newest first."""
    pkg = _dataset(dataset)
    if _is_elsewhere(pkg, org, dataset):
        return _redirect(pkg, "aircan.runs", **_asked("page", *_FILTERS))
    ids = [resource["id"] for resource in pkg["resources"]]
    choices = dict(zip(_FILTERS, (STATUSES, JOB_TYPES, ids), strict=True))
    filters = {name: value for name, value in _asked(*_FILTERS).items() if value in choices[name]}
    page = min(toolkit.h.get_page_number(toolkit.request.args), _LAST_PAGE)
    listed = _show(
        "aircan_job_list", dataset=pkg["id"], limit=_PAGE, offset=(page - 1) * _PAGE, **filters
    )
    return _page_or_part(
        "aircan/runs.html",
        "aircan/snippets/runs_list.html",
        pkg_dict=pkg,
        jobs=listed["jobs"],
        choices=choices,
        filters=filters,
        page=page,
        pages=max(1, -(-listed["count"] // _PAGE)),
        may_update=_may_update(pkg),
    )


@aircan.get(_RUN)
def run(org: str, dataset: str, id: str) -> Response | str:  # noqa: A002
    """Show one run."""
    pkg, job = _run(dataset, id)
    if _is_elsewhere(pkg, org, dataset):
        return _redirect(pkg, "aircan.run", id=id)
    return toolkit.render("aircan/run.html", _of_run(pkg, job))


@aircan.get(f"{_RUN}/live")
def run_live(org: str, dataset: str, id: str) -> str:  # noqa: A002, ARG001
    """Show what changes while a run is going; `seen` is the status that the page shows."""
    pkg, job = _run(dataset, id)
    has_changed = toolkit.request.args.get("seen") != job["status"]
    variables = {**_of_run(pkg, job), "has_changed": has_changed}
    return toolkit.render("aircan/snippets/live_update.html", variables)


@aircan.get(f"{_RUN}/log")
def run_log(org: str, dataset: str, id: str) -> Response:  # noqa: A002
    """Show a page of the log of a step; Airflow is asked after the run, too."""
    pkg = _dataset(dataset)
    if not _may_update(pkg):
        toolkit.abort(403, _only_editors())
    pkg, job = _run(dataset, id, ask=True)
    if _is_elsewhere(pkg, org, dataset):
        return _redirect(pkg, "aircan.run_log", id=id, **_asked("step", "page"))
    try:
        log = _show("aircan_job_log", id=id, **_asked("step", "page"))
    except toolkit.ValidationError:
        toolkit.abort(404, _("There is no such page of the log"))
    return _page_or_part(
        "aircan/log.html", "aircan/snippets/log.html", pkg_dict=pkg, job=job, log=log
    )


@aircan.get(f"{_RUN}/rejects.csv", endpoint="rejects")
def download_rejects(org: str, dataset: str, id: str) -> Response:  # noqa: A002, ARG001
    """Give the rows that a load has set aside, as the factory has written them."""
    pkg, job = _run(dataset, id)
    if not _may_update(pkg):
        toolkit.abort(403, _only_editors())
    try:
        chunks = rejects.read(job)
    except rejects.NotThere as error:
        toolkit.abort(404, str(error))
    name = f"attachment; filename=rejects-{job['id']}.csv"
    return Response(chunks, mimetype="text/csv", headers={"Content-Disposition": name})


@aircan.post(f"{_RUN}/cancel")
def cancel(org: str, dataset: str, id: str) -> Response:  # noqa: A002, ARG001
    """Stop a run."""
    pkg, _job = _run(dataset, id)
    _do("aircan_job_cancel", id=id)
    return _redirect(pkg, "aircan.run", id=id)


@aircan.post(f"{_RUN}/rerun")
def rerun(org: str, dataset: str, id: str) -> Response:  # noqa: A002, ARG001
    """Do a run again, as it was done."""
    pkg, job = _run(dataset, id)
    asked = dict(job["info"].get("wish", {}))
    # The DAG of a load is chosen anew: it goes by the size of the file.
    if job["job_type"] != "LOAD":
        asked["dag_id"] = job["info"].get("dag_id")
    return _submit(pkg, job["resource"], trigger="rerun", **asked)


@aircan.post(f"{_ACTIONS}/submit")
def submit(org: str, dataset: str) -> Response:  # noqa: ARG001
    """Load the file of a resource now."""
    return _submit(_dataset(dataset), toolkit.request.form.get("resource", ""))


@aircan.route("/dataset/<id>/resource/<resource_id>/datastore", methods=["GET", "POST"])
def resource(id: str, resource_id: str) -> Response | tuple[str, int]:  # noqa: A002
    """Show how a resource was loaded last, and how it is to be loaded; save the latter."""
    pkg = _dataset(id)
    shown = _resource(pkg, resource_id)
    if shown is None:
        toolkit.abort(404, _("Resource not found"))
    data = _as_editor("aircan_settings_show", resource_id=resource_id)
    errors: Mapping[str, Any] = {}
    if toolkit.request.method == "POST":
        data = _settings_of(toolkit.request.form)
        try:
            given = {name: value for name, value in data.items() if value}
            _as_editor("aircan_settings_update", resource_id=resource_id, **given)
        except toolkit.ValidationError as error:
            errors = error.error_dict
        else:
            toolkit.h.flash_success(_("Saved: the next load goes by it"))
            return toolkit.redirect_to("aircan.resource", id=pkg["name"], resource_id=resource_id)
    job = _show("aircan_status", resource_id=resource_id)["job"]
    variables = {"pkg_dict": pkg, "resource": shown, "job": job, "data": data, "errors": errors}
    return toolkit.render("aircan/resource.html", variables), 422 if errors else 200


def _settings_of(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings as they were typed; a key column stands in a line of its own."""
    data: dict[str, Any] = {name: form.get(name, "").strip() for name in _SETTINGS}
    data["delimiter"] = form.get("delimiter", "")  # which may be a space
    data["unique_keys"] = [line.strip() for line in form.get("unique_keys", "").splitlines()]
    data["unique_keys"] = [column for column in data["unique_keys"] if column]
    return data


def _submit(pkg: Mapping[str, Any], resource_id: str, **asked: Any) -> Response:  # noqa: ANN401
    """Submit a job though the file may be the one that was loaded last, and show its run."""
    if _resource(pkg, resource_id) is None:
        toolkit.abort(404, _("Resource not found"))
    job = _do("aircan_submit", resource_id=resource_id, force=True, **asked)
    if job is None:
        return _redirect(pkg, "aircan.runs")
    return _redirect(pkg, "aircan.run", id=job["id"])


def _of_run(pkg: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    may_update = _may_update(pkg)
    return {
        "pkg_dict": pkg,
        "job": job,
        "resource": _resource(pkg, job["resource"]),
        "may_update": may_update,
        "rejects": _show("aircan_rejects", id=job["id"]) if may_update else None,
    }


def _run(dataset: str, job_id: str, *, ask: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a dataset and one of its jobs, as it is known here unless Airflow is to be asked."""
    pkg = _dataset(dataset)
    try:
        job = _show("aircan_job_show", id=job_id, ask=ask)
    except toolkit.ValidationError:  # of an id that cannot be
        return _not_there()
    if job["dataset"] != pkg["id"]:
        toolkit.abort(404, _("Run not found"))
    return pkg, job


def _dataset(name_or_id: str) -> dict[str, Any]:
    if received.storable(name_or_id) != name_or_id:  # CKAN stumbles over it
        return _not_there()
    return _show("package_show", id=name_or_id)


def _resource(pkg: Mapping[str, Any], resource_id: str) -> dict[str, Any] | None:
    """Return a resource of the dataset; None if it is another's, or was deleted since."""
    return next((found for found in pkg["resources"] if found["id"] == resource_id), None)


def _may_update(pkg: Mapping[str, Any]) -> bool:
    return toolkit.h.check_access("package_update", {"id": pkg["id"]})


def _asked(*names: str) -> dict[str, str]:
    """Return those parameters of the URL that are there."""
    given = toolkit.request.args
    return {name: given[name] for name in names if given.get(name)}


def _is_elsewhere(pkg: Mapping[str, Any], org: str, dataset: str) -> bool:
    """Return whether the URL names the dataset by its id, or by what it was called before."""
    return (org, dataset) != (aircan_org(pkg), pkg["name"])


def _redirect(pkg: Mapping[str, Any], endpoint: str, **values: str) -> Response:
    return toolkit.redirect_to(
        endpoint, **{**values, "org": aircan_org(pkg), "dataset": pkg["name"]}
    )


def _page_or_part(whole: str, part: str, **variables: Any) -> Response:  # noqa: ANN401
    """Render a page, or the part of it that htmx puts into the page that is there already."""
    response = make_response(toolkit.render(part if toolkit.request.htmx else whole, variables))
    # Else "back" shows the part alone, out of the browser's cache.
    response.vary.add("HX-Request")
    return response


def _only_editors() -> str:
    return _("This is for those who may edit the dataset")


def _context() -> dict[str, Any]:
    return {"user": toolkit.current_user.name}


def _show(action: str, **data: Any) -> Any:  # noqa: ANN401
    """Call an action that reads: what the user may not see is not there."""
    try:
        return toolkit.get_action(action)(_context(), data)
    except (toolkit.ObjectNotFound, toolkit.NotAuthorized):
        return _not_there()


def _not_there() -> Any:  # noqa: ANN401
    if toolkit.request.htmx:  # a page that is open, and would ask for ever
        gone = toolkit.render("aircan/snippets/gone.html")
        return abort(make_response(gone, _STOP_POLLING))
    return toolkit.abort(404, _("Not found, or not for you to see"))


def _as_editor(action: str, **data: Any) -> Any:  # noqa: ANN401
    """Call an action that not everybody may who sees the dataset."""
    try:
        return toolkit.get_action(action)(_context(), data)
    except toolkit.ObjectNotFound:
        return toolkit.abort(404, _("Not found, or not for you to see"))
    except toolkit.NotAuthorized:
        return toolkit.abort(403, _only_editors())


def _do(action: str, **data: Any) -> Any:  # noqa: ANN401
    """Do what a button asks for; None, and the reason on the next page, if that cannot be."""
    try:
        return _as_editor(action, **data)
    except toolkit.ValidationError as error:
        for reason in error.error_summary.values():
            toolkit.h.flash_error(reason)
        return None
