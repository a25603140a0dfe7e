"""Who may do what: the rights on the very resource, or dataset, that a job is of."""

from __future__ import annotations

from typing import Any

from ckan import model as ckan_model
from ckan.plugins import toolkit
from ckan.types import AuthResult, Context
from ckanext.aircan import model

__all__ = [
    "aircan_columns_change",
    "aircan_job_cancel",
    "aircan_job_list",
    "aircan_job_log",
    "aircan_job_show",
    "aircan_rejects",
    "aircan_settings_show",
    "aircan_settings_update",
    "aircan_status",
    "aircan_status_update",
    "aircan_submit",
    "aircan_table_drop",
]


def _may(action: str, context: Context, id_: str) -> AuthResult:
    try:
        toolkit.check_access(action, context, {"id": id_})
    except toolkit.NotAuthorized as error:
        return {"success": False, "msg": str(error)}
    return {"success": True}


def _job(data_dict: dict[str, Any]) -> model.Job:
    with model.session() as session:
        job = model.look(session, str(data_dict.get("id") or ""))
    if job is None:
        raise toolkit.ObjectNotFound(toolkit._("There is no such job"))
    return job


def _may_edit_job(context: Context, data_dict: dict[str, Any]) -> AuthResult:
    # The dataset's right, which is the resource's too: a resource may be gone by now.
    return _may("package_update", context, _job(data_dict).dataset)


def _may_with(action: str, context: Context, resource: object) -> AuthResult:
    """Ask for a right on the resource of this very id.

    CKAN also finds a resource by its name, which its editor chooses: it could be another's id.
    """
    found = ckan_model.Resource.get(resource) if isinstance(resource, str) else None
    if found is not None and found.id != resource:
        raise toolkit.ObjectNotFound(toolkit._("Resource not found"))
    return _may(action, context, str(resource or ""))


def _may_edit(context: Context, data_dict: dict[str, Any]) -> AuthResult:
    return _may_with("resource_update", context, data_dict.get("resource_id"))


aircan_submit = aircan_status_update = aircan_columns_change = aircan_table_drop = _may_edit
aircan_settings_show = aircan_settings_update = _may_edit
aircan_job_cancel = aircan_job_log = aircan_rejects = _may_edit_job


@toolkit.auth_allow_anonymous_access
def aircan_status(context: Context, data_dict: dict[str, Any]) -> AuthResult:
    """Whoever sees the resource."""
    return _may_with("resource_show", context, data_dict.get("resource_id"))


@toolkit.auth_allow_anonymous_access
def aircan_job_show(context: Context, data_dict: dict[str, Any]) -> AuthResult:
    """Whoever sees the dataset."""
    return _may("package_show", context, _job(data_dict).dataset)


@toolkit.auth_allow_anonymous_access
def aircan_job_list(context: Context, data_dict: dict[str, Any]) -> AuthResult:
    """Whoever sees the dataset or resource; all jobs of a user, that user; all, a sysadmin."""
    if resource := data_dict.get("resource"):
        return _may_with("resource_show", context, resource)
    if dataset := data_dict.get("dataset"):
        return _may("package_show", context, dataset)
    user = context.get("auth_user_obj")
    if user is not None and data_dict.get("user") in (user.id, user.name):
        return {"success": True}
    return {"success": False, "msg": toolkit._("Name a dataset, a resource, or yourself")}
