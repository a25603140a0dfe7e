"""The protocol by which a load asks the portal whose DataStore it changes.

In: ids of resources and datasets, tables of a database. Out: what the portal knows of them, or an
error if it cannot be asked. For a CKAN, ``loader.ckan.client`` implements it. Holds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Portal(Protocol):
    """The CKAN that a DataStore belongs to, or may belong to."""

    @property
    def url(self) -> str:
        """The URL by which it is spoken to."""

    def site(self) -> str | None:
        """Return the URL by which it calls itself, the same from every machine."""

    def home(self, resource_id: str) -> str | None:
        """Return the dataset that a resource is in; None if it has not been asked for it."""

    def shares_datastore(self, tables: Mapping[str, int] | None) -> bool | None:
        """Tell whether a database with these tables, by name and oid, is its DataStore."""

    def check_still_there(self, resource_id: str) -> None:
        """Raise if it has no such resource any more."""

    def is_gone(self, resource_id: str, dataset_id: str) -> bool:
        """Tell whether it says that it has no such resource in that dataset.

        Raises if it cannot be asked.
        """

    def table_oids(self, resource_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the oids of those tables that are in its DataStore, by name."""
