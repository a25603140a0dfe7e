"""What other extensions may have a say in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ckan.plugins import Interface


class IAircan(Interface):
    """Hooks into what AirCan does with resources."""

    def can_load(self, resource: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Tell whether a resource may be loaded; one refusal is enough.

        Args:
            resource: As resource_show returns it.
        """
        return True

    def after_load(self, resource: Mapping[str, Any], job: Mapping[str, Any]) -> None:
        """Do what is to follow a load that went well; runs in a background job.

        Args:
            resource: As resource_show returns it.
            job: As aircan_job_show returns it.
        """

    def before_columns_change(
        self,
        resource: Mapping[str, Any],
        before: Sequence[Mapping[str, str]],
        after: Sequence[Mapping[str, str]],
    ) -> None:
        """Hear of a load that is about to change the columns of a table.

        Args:
            resource: As resource_show returns it.
            before: The columns that the table has: ``id`` and ``type``.
            after: Those that it will have.

        Raises:
            ValidationError: They must not change so: the load fails, the table stays as it is.
        """
