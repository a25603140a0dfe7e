"""The columns of a file -> those of a table, through CKAN's API: with the key and the dictionary.

What is done here may be done twice. Holds a line for each column.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from loader.ckan.actions import Actions, Table
from loader.errors import AircanError, CkanRefused, DependentObjects, KeyViolated, UsageError
from loader.types import registry, told
from loader.types.column import Column

_log = logging.getLogger(__name__)

# Keeps a table that loses all its columns until it has the others.
_LAST_COLUMN = {"id": "aircan_no_column_left", "type": "text"}


def create(ckan: Actions, resource_id: str, columns: Sequence[Column]) -> None:
    """Create a table, which CKAN does not show before it is registered."""
    _create(ckan, resource_id, _fields(columns))


@dataclass(frozen=True)
class Change:
    """What makes a table's columns those of a file.

    Attributes:
        columns: The file's.
        old: The table as it was.
        anew: Columns that get another type: CKAN cannot change one.
        gone: Columns that the file has not.
        warnings: What the table loses by it.
    """

    columns: Sequence[Column]
    old: Table
    anew: Sequence[str]
    gone: Sequence[str]
    warnings: list[str]

    @property
    def is_needed(self) -> bool:
        """Tell whether the table lacks anything that the file has."""
        had = {column.name: column for column in self.old.columns}
        return bool(self.anew or self.gone) or any(
            column.name not in had or _entry(column, had[column.name].info) != had[column.name].info
            for column in self.columns
        )


def change(resource_id: str, columns: Sequence[Column], old: Table) -> Change:
    """Tell how a table is to be changed; nothing is done yet.

    Raises:
        DependentObjects: Views are in the way. CKAN's API does not tell an alias from a view of the
            publisher's own, which could not be made again.
    """
    types = {column.name: column.type for column in old.columns}
    given = {column.name for column in columns}
    anew = [column.name for column in columns if types.get(column.name, column.type) != column.type]
    gone = [name for name in types if name not in given]
    warnings = []
    if anew:
        warnings.append(f"{_listed(anew)}: made anew with another type, without indexes on it")
    if gone:
        warnings.append(f"{_listed(gone)}: not in the file, gone with the indexes on it")
    if old.aliases and (anew or gone):
        raise DependentObjects(
            f"the columns of {resource_id} cannot be changed, views need them:"
            f" {_listed(old.aliases)}",
            hint="name the DataStore's database; or drop the aliases with datastore_create, load,"
            " and create them again",
            option="datastore_url",
        )
    if old.aliases and given > types.keys():
        warnings.append(f"{_listed(old.aliases)}: without the new columns")
    return Change(columns, old, anew, gone, warnings)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def alter(ckan: Actions, resource_id: str, change: Change) -> None:
    """Give a table without rows the columns of the file.

    Those that it has already stay where they are, with all that is on them; the others come after
    them. A column with another type is made anew, with its entry in the Data Dictionary.
    """
    if not change.is_needed:
        return
    fields = _fields(change.columns, _infos(change.old), anew=change.anew)
    try:
        if change.anew:
            unchanged = [field for field in fields if field["id"] not in change.anew]
            _create(ckan, resource_id, unchanged or [_LAST_COLUMN])
        _create(ckan, resource_id, fields)
    except (AircanError, KeyboardInterrupt) as error:
        _restore(ckan, resource_id, change, error)
        raise


def _restore(
    ckan: Actions, resource_id: str, change: Change, error: AircanError | KeyboardInterrupt
) -> None:
    """Give a table its old columns again: the Data Dictionary is the publisher's work."""
    infos = _infos(change.old)
    try:
        fields = [
            {"id": old.name, "type": registry.created_as(old.type), "info": infos[old.name]}
            for old in change.old.columns
        ]
        _create(ckan, resource_id, fields)
    except AircanError as second:  # must not hide the first
        lost = f"columns and their entries in the Data Dictionary may be lost ({second})"
        _log.warning("%s: %s", resource_id, lost)
        if isinstance(error, AircanError):
            error.hint = f"{error.hint}; {lost}" if error.hint else lost


def _infos(table: Table) -> dict[str, Mapping[str, Any]]:
    return {column.name: column.info for column in table.columns}


def _fields(
    columns: Sequence[Column],
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
    for column in columns:
        field: dict[str, Any] = {"id": column.name, "type": registry.created_as(column.type)}
        info = infos.get(column.name)
        entry = _entry(column, info or {})
        # Of the others CKAN keeps what it has: an editor may be at work.
        if column.name in anew or entry != (info or {}):
            field["info"] = entry
        fields.append(field)
    return fields


def _entry(column: Column, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return a column's entry in the Data Dictionary, with what the file tells of it."""
    label = {"label": column.label} if column.label and not info else {}
    return told.with_reading(info or label, column.read_as)


def _create(ckan: Actions, resource_id: str, fields: list[dict[str, Any]]) -> None:
    """Create a table, or change its columns; CKAN would show it then."""
    data = {"resource_id": resource_id, "force": True, "records": []}
    ckan.call("datastore_create", data | {"fields": fields, "delete_fields": True})
    ckan.withdraw(resource_id)


def set_key(ckan: Actions, resource_id: str, keys: Sequence[str]) -> list[str]:
    """Make the unique key of a table without rows; it takes the place of all others.

    Returns:
        Warnings.
    """
    warnings = []
    try:
        if not lacks_key(ckan, resource_id, keys):
            return []
    except UsageError:
        warnings.append(f"left out: the unique key that the table had, for ({_listed(keys)})")
    _make_key(ckan, resource_id, keys)
    ckan.withdraw(resource_id)
    return warnings


def ensure_key(ckan: Actions, resource_id: str, keys: Sequence[str]) -> None:
    """Make the unique key where there is none.

    Raises:
        UsageError: The table has another one.
        KeyViolated: Rows have the same key.
    """
    if lacks_key(ckan, resource_id, keys):
        _make_key(ckan, resource_id, keys)


def lacks_key(ckan: Actions, resource_id: str, keys: Sequence[str]) -> bool:
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
                option="key",
            )
    return False


def _make_key(ckan: Actions, resource_id: str, keys: Sequence[str]) -> None:
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
            hint="name more columns as the key, or let the file replace the table",
            option="key",
        ) from error


def _faults_of_a_record(ckan: Actions, resource_id: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return what CKAN finds wrong with a record of these columns, which changes nothing."""
    record = {"method": "upsert", "records": [dict.fromkeys(names)], "dry_run": True}
    nothing = {"resource_id": resource_id, "force": True, "calculate_record_count": False}
    try:
        ckan.call("datastore_upsert", nothing | record)
    except CkanRefused as error:
        return error.fields
    return ()
