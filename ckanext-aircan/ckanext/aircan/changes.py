"""Resources that change -> jobs that wait, once the change is committed.

In: what CKAN's session is about to commit, however it came there. Out: a job for each resource
whose file is new or another. What goes wrong here is logged: it never keeps a resource from being
saved.
"""

from __future__ import annotations

import logging
from typing import Any

import flask
from ckan import model as ckan_model
from ckan.plugins import toolkit
from ckanext.aircan import config, jobs, model
from sqlalchemy import event, inspect
from sqlalchemy.orm import Session

_log = logging.getLogger(__name__)
_KEY = "aircan_changed"


def listen() -> None:
    """Hear of commits, and of formats that are changed."""
    if not event.contains(ckan_model.Session, "after_commit", _after_commit):
        event.listen(ckan_model.Session, "after_commit", _after_commit)
        event.listen(ckan_model.Session, "after_rollback", _after_rollback)
        event.listen(ckan_model.Resource.format, "set", _on_format)


def note(resource: ckan_model.Resource, *, is_new: bool) -> None:
    """Keep in mind a resource that is about to be committed, if it is to be loaded then.

    Args:
        resource: The row. CKAN marks one whose file has changed with ``url_changed``.
        is_new: Whether it was not there before.
    """
    is_other = getattr(resource, "url_changed", False) or getattr(
        resource, "aircan_format_changed", False
    )
    if not (is_new or is_other) or resource.state != "active":
        return
    is_loadable = config.is_loadable(resource.format, resource.url, resource.url_type)
    if not (config.option("automatic") and is_loadable):
        return
    session = inspect(resource).session
    session.info.setdefault(_KEY, {})[resource.id] = {
        "id": resource.id,
        "package_id": resource.package_id,
        "datastore_active": (resource.extras or {}).get("datastore_active"),
        "url": resource.url,
        "url_type": resource.url_type,
        "last_modified": resource.last_modified and resource.last_modified.isoformat(),
    }


def _on_format(resource: ckan_model.Resource, new: Any, old: Any, _: object) -> None:  # noqa: ANN401
    if isinstance(old, str) and old.lower() != (new or "").lower():
        resource.aircan_format_changed = True


def _after_rollback(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(_KEY, None)


def _after_commit(session: Session) -> None:
    if session.in_nested_transaction():
        return
    changed = session.info.pop(_KEY, {})
    try:
        if changed:
            wish = jobs.Wish("change", _user())
            with model.session() as one:
                last = model.newest(one, list(changed), "LOAD")
                for id_, resource in sorted(changed.items()):
                    if not jobs.is_taken_care_of(last.get(id_), resource):
                        jobs.ask_for(one, resource, wish)
            jobs.submit_soon()
    except Exception:  # noqa: BLE001  (the resource is saved, and its request has to end well)
        _log.exception("no job was made for the resources %s", ", ".join(changed))


def _user() -> str | None:
    """Return the id of who makes the request, if it is one and somebody does."""
    if not flask.has_request_context():
        return None
    return getattr(toolkit.current_user, "id", None)
