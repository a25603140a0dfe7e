"""Resources that change -> jobs that wait, once the change is committed; those that go -> none.

In: what CKAN's session is about to commit, however it came there. Out: a job for each resource
whose file is new or another; the jobs of what was deleted or made private, cancelled. What goes
wrong here is logged: it never keeps a resource from being saved, or from being deleted.
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
_KEY, _LOST = "aircan_changed", "aircan_lost"


def listen() -> None:
    """Hear of commits, of formats that are changed, and of resources that come back."""
    if not event.contains(ckan_model.Session, "after_commit", _after_commit):
        event.listen(ckan_model.Session, "after_commit", _after_commit)
        event.listen(ckan_model.Session, "after_rollback", _after_rollback)
        event.listen(ckan_model.Resource.format, "set", _on_format)
        event.listen(ckan_model.Resource.state, "set", _on_state)


def note(resource: ckan_model.Resource, *, is_new: bool) -> None:
    """Keep in mind a resource that is about to be committed, if it is to be loaded then.

    Args:
        resource: The row. CKAN marks one whose file has changed with ``url_changed``.
        is_new: Whether it was not there before.
    """
    marks = ("url_changed", "aircan_format_changed", "aircan_came_back")
    is_other = any(getattr(resource, mark, False) for mark in marks)
    if not (is_new or is_other) or resource.state != "active":
        return
    is_loadable = config.is_loadable(resource.format, resource.url, resource.url_type)
    if not (config.option("automatic") and is_loadable):
        return
    session = inspect(resource).session
    session.info.setdefault(_KEY, {})[resource.id] = {
        "id": resource.id,
        "package_id": resource.package_id,
        # Who brings it back may still say so of a table that is gone.
        "datastore_active": (resource.extras or {}).get("datastore_active")
        and not getattr(resource, "aircan_came_back", False),
        "url": resource.url,
        "url_type": resource.url_type,
        "last_modified": resource.last_modified and resource.last_modified.isoformat(),
    }


def note_lost(entity: ckan_model.Resource | ckan_model.Package, *, is_purged: bool) -> None:
    """Keep in mind what is about to be deleted, purged or private, to cancel its jobs then."""
    is_private = isinstance(entity, ckan_model.Package) and entity.private
    if not (is_purged or is_private or entity.state == "deleted"):
        return
    session = inspect(entity).session or ckan_model.Session()  # a purged one has left its own
    lost = session.info.setdefault(_LOST, model.Lost())
    is_resource = isinstance(entity, ckan_model.Resource)
    (lost.resources if is_resource else lost.datasets).add(entity.id)


def _on_state(resource: ckan_model.Resource, new: Any, old: Any, _: object) -> None:  # noqa: ANN401
    # A harvester leaves a resource out one day and has it again the next; its table is gone.
    if old == "deleted" and new == "active":
        resource.aircan_came_back = True


def _on_format(resource: ckan_model.Resource, new: Any, old: Any, _: object) -> None:  # noqa: ANN401
    if isinstance(old, str) and old.lower() != (new or "").lower():
        resource.aircan_format_changed = True


def _after_rollback(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(_KEY, None)
        session.info.pop(_LOST, None)


def _after_commit(session: Session) -> None:
    if session.in_nested_transaction():
        return
    if lost := session.info.pop(_LOST, None):
        cancel(lost)
    changed = session.info.pop(_KEY, {})
    try:
        if changed:
            wish = jobs.Wish("change", _user())
            with model.session() as own:
                last = model.newest_load(own, list(changed))
                for id_, resource in sorted(changed.items()):
                    if not jobs.is_taken_care_of(last.get(id_), resource):
                        jobs.ask_for(own, resource, wish)
            jobs.submit_soon()
    except Exception:  # noqa: BLE001  (the resource is saved, and its request has to end well)
        _log.exception("no job was made for the resources %s", ", ".join(changed))


def cancel(lost: model.Lost) -> None:
    """Cancel the jobs of what is gone or private, before those of its changes are asked for.

    Args:
        lost: What may be.
    """
    try:
        jobs.cancel_lost(lost)
    except Exception:  # noqa: BLE001  (it is deleted, and its request has to end well)
        _log.exception("the jobs of what is gone are not cancelled: %s", lost)


def _user() -> str | None:
    """Return the id of who makes the request, if it is one and somebody does."""
    if not flask.has_request_context():
        return None
    return getattr(toolkit.current_user, "id", None)
