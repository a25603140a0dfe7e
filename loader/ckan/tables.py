"""The DataStore's tables, as CKAN's API shows them.

In: a resource's id. Out: its table's columns and number of rows; whether a database is this CKAN's
DataStore; a table dropped. Holds the list of a thousand tables at most.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from loader.ckan.actions import Table
from loader.ckan.calls import Calls
from loader.errors import CkanError, CkanForbidden, CkanNotFound, CkanRefused
from loader.types import registry
from loader.types.column import Column

_log = logging.getLogger(__name__)

_TABLES_COMPARED = 100
_TABLES_LISTED = 1000
# Of AirCan's extension: CKAN 2.12 has no action for the table of a resource that is gone.
_DROP_TABLE = "aircan_table_drop"


class Tables(Calls):
    """Calls about the tables of one CKAN's DataStore; see ``Calls``."""

    def table(self, resource_id: str) -> Table | None:
        """Return a resource's table in the DataStore, or None where there is none."""
        try:
            return self.ask("datastore_info", {"id": resource_id}, _table)
        except CkanNotFound:
            return None

    def table_oids(self, resource_ids: Sequence[str]) -> dict[str, int]:
        """Return the oids of resources' tables in CKAN's DataStore, by resource.

        CKAN is asked once.

        Args:
            resource_ids: A hundred or so; those whose table CKAN does not list are left out.

        Raises:
            CkanUnreachable: CKAN cannot be asked now.
        """
        asked: dict[str, Any] = {
            "resource_id": "_table_metadata",
            "filters": {"name": list(resource_ids)},
            "fields": ["name", "oid"],
            "limit": _TABLES_LISTED,
            "include_total": False,
        }
        try:
            records = self.ask("datastore_search", asked, _oids, repeat=False)
        except (CkanNotFound, CkanForbidden, CkanRefused) as error:
            _log.info("which tables CKAN has is unknown: %s", error)
            return {}
        meant = set(resource_ids)
        return {name: oid for name, oid in records.items() if name in meant}

    def shares_datastore(self, tables: Mapping[str, int] | None) -> bool | None:
        """Tell whether a database is the DataStore of this CKAN.

        Args:
            tables: The database's tables, and the oid of each; None if CKAN has not prepared it.

        Returns:
            Whether a table that CKAN knows has its name and oid there, or neither has any yet; None
            when CKAN names none, and the database is another or has some.
        """
        try:
            known = self.ask(
                "datastore_search",
                {
                    "resource_id": "_table_metadata",
                    "fields": ["name", "oid"],
                    "limit": _TABLES_COMPARED,
                    "include_total": False,
                },
                _oids,
            )
        except (CkanNotFound, CkanForbidden, CkanRefused) as error:
            _log.info("which tables CKAN has cannot be compared: %s", error)
            return None
        if not known:
            return True if tables == {} else None
        return any((tables or {}).get(name) == oid for name, oid in known.items())

    def drop_table(self, resource_id: str) -> bool:
        """Have CKAN drop the table of a resource that is gone.

        Returns:
            Whether it is dropped, or CKAN lists none. That the token may not search it says
            nothing: of a purged resource CKAN tells only sysadmins whether it has a table.
        """
        for action in ("datastore_delete", _DROP_TABLE):
            with suppress(CkanNotFound, CkanForbidden, CkanRefused):
                self.call(action, {"resource_id": resource_id, "force": True})
                return True
        with suppress(CkanError):
            return not self.table_oids([resource_id])
        return False

    def check_right(self, resource_id: str) -> None:
        """See whether the token may edit the resource.

        Raises:
            CkanForbidden: It may not.
        """
        # Adding no rows changes nothing, and takes the right to.
        nothing = {"method": "insert", "records": [], "dry_run": True}
        with suppress(CkanNotFound):  # no table yet
            self.call(
                "datastore_upsert",
                {"resource_id": resource_id, "force": True, "calculate_record_count": False}
                | nothing,
            )


def _table(info: Any) -> Table:  # noqa: ANN401
    return Table(
        columns=tuple(map(_column, info["fields"])),
        aliases=tuple(map(str, info["meta"]["aliases"])),
        rows=int(info["meta"]["count"]),
    )


def _oids(found: Any) -> dict[str, int]:  # noqa: ANN401
    return {record["name"]: int(record["oid"]) for record in found["records"]}


def _column(field: Mapping[str, Any]) -> Column:
    schema = field.get("schema") or {}
    kind = schema.get("native_type") or field["type"]
    return Column(field["id"], registry.sql_name(kind), info=field.get("info") or {})
