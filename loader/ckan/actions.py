"""What a load through CKAN's API asks of a CKAN; ``client.Ckan`` is one.

Holds a table's columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from loader.ckan.settings import CkanSettings
from loader.types.column import Column

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """A DataStore table as CKAN's API shows it.

    Attributes:
        columns: In their order, without ``_id`` and ``_full_text``.
        aliases: The views over it.
        rows: How many there are, counted.
    """

    columns: tuple[Column, ...]
    aliases: tuple[str, ...]
    rows: int

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Table:
        """Return the table that ``to_dict`` wrote."""
        columns = tuple(
            Column(field["id"], field["type"], info=field["info"]) for field in written["fields"]
        )
        return cls(columns, tuple(written["aliases"]), written["rows"])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        fields = [
            {"id": column.name, "type": column.type, "info": dict(column.info)}
            for column in self.columns
        ]
        return {"fields": fields, "aliases": list(self.aliases), "rows": self.rows}


class Actions(Protocol):
    """The calls of a load; each raises CkanError, as ``Calls`` says."""

    settings: CkanSettings

    def call(self, action: str, data: Mapping[str, Any], *, repeat: bool = True) -> Any:  # noqa: ANN401
        """Call an action, and return its result."""

    def ask(
        self,
        action: str,
        data: Mapping[str, Any],
        read: Callable[[Any], T],
        *,
        repeat: bool = True,
    ) -> T:
        """Call an action, and read its result."""

    def version(self) -> tuple[int, ...] | None:
        """Return CKAN's version, or None where it hides it."""

    def resource(self, resource_id: str, *, repeat: bool = True) -> dict[str, Any]:
        """Return a resource."""

    def table(self, resource_id: str) -> Table | None:
        """Return a resource's table in the DataStore, or None where there is none."""

    def withdraw(self, resource_id: str) -> None:
        """Have CKAN show a resource's table no longer."""

    def check_still_there(self, resource_id: str) -> None:
        """Raise CkanNotFound if the resource is gone."""

    def drop_table(self, resource_id: str) -> bool:
        """Have CKAN drop the table of a resource that is gone; return whether it is gone."""
