"""Loads into a portal, and what is in its tables afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from portal import Portal

from loader import Report, load


def load_text(
    portal: Portal, resource_id: str, content: str, folder: Path, **options: Any
) -> Report:
    """Load a CSV with this content into a resource."""
    path = folder / "data.csv"
    path.write_text(content, encoding="utf-8")
    return load(path, **settings(portal), resource_id=resource_id, **options)


def settings(portal: Portal) -> dict[str, Any]:
    """Return the options with which a load finds the portal."""
    return {
        "ckan_url": portal.url,
        "ckan_token": portal.token,
        "datastore_url": portal.datastore_url,
        "lanes": 2,
    }


def sql(portal: Portal, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a statement in the DataStore's database, as its write role."""
    with psycopg.connect(portal.datastore_url, autocommit=True) as connection:
        cursor = connection.execute(statement, values or None)  # or "%" is no letter in a name
        return cursor.fetchall() if cursor.description else []


def rows(portal: Portal, resource_id: str) -> list[tuple[Any, ...]]:
    """Return a table's rows in the order of `_id`, as text, without `_id` and `_full_text`."""
    found = sql(
        portal,
        "SELECT string_agg(format('%%I::text', attname), ', ' ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 2 AND NOT attisdropped",
        resource_id,
    )
    return sql(portal, f'SELECT {found[0][0]} FROM "{resource_id}" ORDER BY _id')
