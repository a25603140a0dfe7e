"""The columns of a file -> those of a table, through CKAN's API: with the key and the dictionary.

What is done here may be done twice. Holds a line for each column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from loader.errors import AircanError, CkanRefused, KeyViolated, UsageError

if TYPE_CHECKING:
    from loader.ckan import Ckan, Table

# Name, Postgres type and label of each; the label is '' for none.
Columns = Sequence[tuple[str, str, str]]

# CKAN makes another type of a "json" in lower case: its own "nested".
_CREATED_AS = {"json": "JSON", "nested": "json"}
# Keeps a table that loses all its columns until it has the others.
_LAST_COLUMN = {"id": "aircan_no_column_left", "type": "text"}


def create(ckan: Ckan, resource_id: str, columns: Columns) -> None:
    """Create a table, which CKAN does not show before it is registered."""
    _create(ckan, resource_id, _fields(columns))


def alter(ckan: Ckan, resource_id: str, columns: Columns, old: Table) -> None:
    """Give a table without rows the columns of the file.

    Those that it has already stay where they are, with all that is on them: the order of the
    others is that of the file. CKAN cannot change a type: then the column is made anew, with its
    entry in the Data Dictionary.
    """
    had = {field.id: field for field in old.fields}
    anew = changed(old, columns)
    named = [name for name, _, _ in columns]
    same = len(columns) == len(had) and not anew and all(name in had for name in named)
    unlabelled = any(label and name in had and not had[name].info for name, _, label in columns)
    if same and not unlabelled:
        return
    fields = _fields(columns, {name: field.info for name, field in had.items()}, anew=anew)
    try:
        if not same and old.aliases:
            _create(ckan, resource_id, [], aliases=[])  # they keep columns from being deleted
        if anew:
            kept = [field for field in fields if field["id"] not in anew]
            _create(ckan, resource_id, kept or [_LAST_COLUMN])
        _create(ckan, resource_id, fields, aliases=old.aliases)
    except (AircanError, KeyboardInterrupt):  # the Data Dictionary is the publisher's work
        before = [(field.id, field.type, "") for field in old.fields]
        infos = {field.id: field.info for field in old.fields}
        _create(ckan, resource_id, _fields(before, infos, anew=list(infos)), aliases=old.aliases)
        raise


def changed(old: Table, columns: Columns) -> list[str]:
    """Return the columns that a table has with another type."""
    types = {field.id: field.type for field in old.fields}
    return [name for name, kind, _ in columns if types.get(name, kind) != kind]


def _fields(
    columns: Columns,
    infos: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    *,
    anew: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return datastore_create's fields; what the publisher wrote wins over the file's label.

    Args:
        columns: The file's.
        infos: The Data Dictionary of the columns that the table has.
        anew: Those of them that are made anew.
    """
    fields = []
    for name, kind, label in columns:
        field: dict[str, Any] = {"id": name, "type": _CREATED_AS.get(kind, kind)}
        info = infos.get(name)
        # Of the others CKAN keeps what it has: an editor may be at work.
        if name in anew:
            field["info"] = info
        if label and not info:
            field["info"] = {"label": label}
        fields.append(field)
    return fields


def _create(
    ckan: Ckan,
    resource_id: str,
    fields: list[dict[str, Any]],
    aliases: Sequence[str] | None = None,
) -> None:
    """Create a table, or change what it has but for its rows; CKAN would show it then."""
    data: dict[str, Any] = {"resource_id": resource_id, "force": True, "records": []}
    if fields:
        data |= {"fields": fields, "delete_fields": True}
    if aliases is not None:
        data |= {"aliases": list(aliases)}
    ckan.call("datastore_create", data)
    ckan.withdraw(resource_id)


def ensure_key(ckan: Ckan, resource_id: str, keys: Sequence[str]) -> None:
    """Make the unique key where there is none."""
    if lacks_key(ckan, resource_id, keys):
        _make_key(ckan, resource_id, keys)


def lacks_key(ckan: Ckan, resource_id: str, keys: Sequence[str]) -> bool:
    """Tell whether a table has no unique key; refuse one that has another.

    CKAN's API does not tell a table's key, but it tells which columns of it a record lacks.
    """
    for lacking in [*keys, None]:
        faults = _faults_of_a_record(ckan, resource_id, [key for key in keys if key != lacking])
        if "table" in faults:
            return True
        if ("key" in faults) != (lacking is not None):
            raise UsageError(
                f"the unique key of {resource_id} is not {', '.join(keys)}",
                hint="name the columns that it has, all of them",
            )
    return False


def _make_key(ckan: Ckan, resource_id: str, keys: Sequence[str]) -> None:
    try:
        ckan.call(
            "datastore_create",
            {"resource_id": resource_id, "force": True, "primary_key": list(keys)},
        )
    except CkanRefused as error:
        if "constraints" not in error.fields:
            raise
        raise KeyViolated(
            f"rows of {resource_id} have the same {', '.join(keys)}",
            hint="name more columns as the key, or replace the table",
        ) from error


def _faults_of_a_record(ckan: Ckan, resource_id: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return what CKAN finds wrong with a record of these columns, which changes nothing."""
    record = {"method": "upsert", "records": [dict.fromkeys(names)], "dry_run": True}
    nothing = {"resource_id": resource_id, "force": True, "calculate_record_count": False}
    try:
        ckan.call("datastore_upsert", nothing | record)
    except CkanRefused as error:
        return error.fields
    return ()
