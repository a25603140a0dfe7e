"""The DataStore's tables of resources that are gone -> dropped: CKAN shows them to everybody.

CKAN lets whoever sees a dataset search the tables of its deleted resources too. It drops a table
when its resource is deleted by `resource_delete`, but not when a dataset is saved without it, nor
when the resource is purged, and a run that goes on meanwhile may bring the table back. In: the
jobs, which tell what AirCan has loaded. Out: tables dropped; those of others are left alone.
"""

from __future__ import annotations

import logging

from ckan import model as ckan_model
from ckan.plugins import plugin_loaded
from ckanext.aircan import model
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

_log = logging.getLogger(__name__)

_LOCK_TIMEOUT = "10s"  # a long report may read the rows; nobody has to wait behind us for longer


def drop_gone() -> list[str]:
    """Drop the tables of resources that AirCan has loaded and that are gone; return their ids."""
    if not plugin_loaded("datastore"):
        return []
    with model.session() as one:
        gone = model.gone(one)
    return [resource for resource in _with_table(gone) if _try(resource)]


def drop(resource: str) -> None:
    """Drop a resource's table, and let CKAN know, should the resource come back.

    Args:
        resource: The id of one that is gone.
    """
    if not plugin_loaded("datastore"):
        return
    from ckanext.datastore.backend.postgres import get_write_engine, identifier  # noqa: PLC0415

    with get_write_engine().begin() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
        # As CKAN does it: the views over it show its rows.
        connection.execute(text(f"DROP TABLE IF EXISTS {identifier(resource)} CASCADE"))
        if _has_stats(connection):
            forget = text("DELETE FROM _table_stats WHERE resource_id = :id")
            connection.execute(forget, {"id": resource})
    _let_know(resource)
    _log.warning("dropped the table of %s, which is deleted", resource)


def _try(resource: str) -> bool:
    try:
        drop(resource)
    except SQLAlchemyError as error:  # it is locked, for one: the others are to go all the same
        _log.warning("the table of %s stays: %s", resource, str(error).partition("\n")[0])
        return False
    return True


def _with_table(resources: list[str]) -> list[str]:
    from ckanext.datastore.backend.postgres import get_write_engine  # noqa: PLC0415

    if not resources:
        return []
    with get_write_engine().connect() as connection:
        found = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = 'public'::regnamespace AND relname = ANY(:ids) ORDER BY 1"
            ),
            {"ids": resources},
        )
        return [row[0] for row in found]


def _has_stats(connection: Connection) -> bool:
    """Return whether CKAN keeps the numbers of rows, as 2.12 does."""
    there = text("SELECT to_regclass('public._table_stats') IS NOT NULL")
    return bool(connection.execute(there).scalar())


def _let_know(resource: str) -> None:
    """Note that the resource has no table, as CKAN does when it drops one."""
    session, known = ckan_model.Session, ckan_model.Resource.get(resource)
    if known is None or not known.extras.get("datastore_active"):
        return
    extras = {**known.extras, "datastore_active": False}
    found = session.query(ckan_model.Resource).filter_by(id=resource, state="deleted")
    found.update({"extras": extras}, synchronize_session=False)
    session.commit()
