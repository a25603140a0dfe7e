"""The DataStore's tables of resources that are gone -> dropped: CKAN shows them to everybody.

CKAN lets whoever sees a dataset search the tables of its deleted resources too. It drops a table
when its resource is deleted by `resource_delete`, but not when a dataset is saved without it, nor
when the resource is purged, and a run that goes on meanwhile may bring the table back. In: the
jobs, which tell what AirCan has loaded. Out: tables dropped; those of others are left alone.
"""

from __future__ import annotations

import hashlib
import logging
import time

from ckan import model as ckan_model
from ckan.plugins import plugin_loaded
from ckanext.aircan import model
from sqlalchemy import select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

_log = logging.getLogger(__name__)

# Of a DataStore, and of no other application that has tables in the same database.
_IS_TABLE = """
    SELECT relname FROM pg_class c
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname = ANY(:ids)
        AND left(relname, 1) <> '_'
        AND (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid
            AND attname IN ('_id', '_full_text') AND NOT attisdropped) = 2
    ORDER BY 1
"""
# The loader leaves a comment at the table's sequence: for which CKAN, and for which dataset.
_LOADED_FOR = """
    SELECT t.relname, substring(c.description FROM :form) AS dataset
    FROM pg_description c
    JOIN pg_class s ON s.oid = c.objoid AND s.relkind = 'S'
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
        AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'
    JOIN pg_class t ON t.oid = d.refobjid
    WHERE c.classoid = 'pg_class'::regclass AND c.objsubid = 0 AND c.description ~ :form
        AND t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace
        AND left(t.relname, 1) <> '_' AND t.relname = coalesce(:id, t.relname)
"""
# A mark without a dataset tells nothing.
_MARK = "^of a table that AirCan has loaded for [^ ]+ (.+)$"
_LOCK_TIMEOUT = "10s"  # a long report may read the rows; nobody has to wait behind us for longer


def drop_gone(end: float) -> list[str]:
    """Drop the tables of resources that AirCan has loaded and that are gone; return their ids.

    Args:
        end: The moment of ``time.monotonic`` from which on no other is begun with.
    """
    if not plugin_loaded("datastore"):
        return []
    dropped = []
    for resource in _to_drop():
        if _try(resource):
            dropped.append(resource)
        if time.monotonic() > end:
            break
    return dropped


def _to_drop() -> list[str]:
    with model.session() as session:
        gone = model.gone(session)
    try:
        return [*_with_table(gone), *_passed_on()]
    except SQLAlchemyError as error:  # loads can be submitted and ended all the same
        _log.warning("tables of deleted resources may stay: %s", str(error).partition("\n")[0])
        return []


def drop(resource: str) -> bool:
    """Drop a resource's table, and let CKAN know, should the resource come back.

    Nothing is dropped that the DataStore has not made for a resource: an editor may choose an id,
    and that could be the name of one of CKAN's own tables.

    Args:
        resource: The id of one that is gone.

    Returns:
        Whether there was a table to drop. One stays whose resource has come back, or is being
        loaded by COPY: that load finds out by itself what became of its resource.
    """
    if not plugin_loaded("datastore"):
        return False
    from ckanext.datastore.backend.postgres import get_write_engine, identifier  # noqa: PLC0415

    with get_write_engine().begin() as connection:
        if not _tables(connection, [resource]) or not _lock_loads(connection, resource):
            return False
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
        table = f"public.{identifier(resource)}"
        connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        if _is_back(connection, resource):  # while the lock was waited for
            return False
        # As CKAN does it: the views over it show its rows.
        connection.execute(text(f"DROP TABLE {table} CASCADE"))
        if _has_stats(connection):
            forget = text("DELETE FROM _table_stats WHERE resource_id = :id")
            connection.execute(forget, {"id": resource})
    _let_know(resource)
    _log.warning("dropped the table of %s, which is deleted", resource)
    return True


def _lock_loads(connection: Connection, resource: str) -> bool:
    """Keep loads of the resource away to the transaction's end; False if one is running.

    The lock is the one that `aircan load` takes: the first 8 bytes of the id's SHA-256.
    """
    key = int.from_bytes(hashlib.sha256(resource.encode()).digest()[:8], "big", signed=True)
    return bool(
        connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}).scalar()
    )


def _is_back(connection: Connection, resource: str) -> bool:
    known = ckan_model.Resource
    with model.session() as session:
        is_there = session.scalar(select(known.state).where(known.id == resource)) == "active"
        return is_there and not model.passed_on(session, _loaded_for(connection, resource))


def _passed_on() -> list[str]:
    from ckanext.datastore.backend.postgres import get_write_engine  # noqa: PLC0415

    with get_write_engine().connect() as connection:
        loaded_for = _loaded_for(connection)
    with model.session() as session:
        return model.passed_on(session, loaded_for)


def _loaded_for(connection: Connection, resource: str | None = None) -> dict[str, str]:
    """Return for which dataset the rows of each resource were loaded, or of this one."""
    found = connection.execute(text(_LOADED_FOR), {"id": resource, "form": _MARK})
    return dict(found.fetchall())


def _try(resource: str) -> bool:
    try:
        return drop(resource)
    except SQLAlchemyError as error:  # it is locked, for one: the others are to go all the same
        _log.warning("the table of %s stays: %s", resource, str(error).partition("\n")[0])
        return False


def _with_table(resources: list[str]) -> list[str]:
    from ckanext.datastore.backend.postgres import get_write_engine  # noqa: PLC0415

    if not resources:
        return []
    with get_write_engine().connect() as connection:
        return _tables(connection, resources)


def _tables(connection: Connection, resources: list[str]) -> list[str]:
    return [row[0] for row in connection.execute(text(_IS_TABLE), {"ids": resources})]


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
    found = session.query(ckan_model.Resource).filter_by(id=resource, state=known.state)
    found.update({"extras": extras}, synchronize_session=False)
    session.commit()
