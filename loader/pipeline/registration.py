"""What CKAN is told of a table that was loaded, and what is done if it has deleted the resource.

In: a CKAN, a report, a destination. Out: the resource registered, or the table withdrawn and an
error that says so. Holds nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loader.destination import Destination
from loader.errors import AircanError, CkanError, CkanNotFound, CkanUnreachable
from loader.report import Report
from loader.steps import Steps

if TYPE_CHECKING:
    from loader.ckan.client import Ckan

_log = logging.getLogger(__name__)


def tell_ckan(ckan: Ckan, report: Report) -> None:
    """Let CKAN show the table of a load, and know its file when nothing is left to do.

    Raises:
        CkanError: CKAN was not told.
    """
    # Added rows make the table no copy of any file: a reload would undo them.
    file_hash = report.hash if report.mode == "replace" else None
    try:
        ckan.register(report.resource_id, file_hash, complete=not report.bad_rows.rejected)
    except AircanError as error:
        error.message = f"CKAN was not told of the rows: {error.message}"
        raise


def is_gone(ckan: Ckan, resource_id: str) -> bool:
    """Tell whether CKAN says so; if it cannot be asked, the load's own error is to be raised."""
    try:
        return ckan.is_gone(resource_id)
    except CkanUnreachable as error:  # the cleanup asks again
        _log.info("whether %s is gone is unknown: %s", resource_id, error)
        return False


def gone(resource_id: str, *, dropped: bool) -> CkanNotFound:
    """Return the error for a resource that was deleted while it was loaded."""
    deleted = f"the resource {resource_id} was deleted while it was loaded"
    if dropped:
        return CkanNotFound(
            f"{deleted}: its table was dropped",
            hint="nothing is left to do, unless it was deleted by mistake",
        )
    return CkanNotFound(
        f"{deleted}, and its table could not be dropped",
        hint="whoever sees the dataset can read the rows: run in the DataStore's database"
        f' DROP TABLE "{resource_id}" CASCADE',
    )


class Registration:
    """Registers the table of a load into a CKAN; does nothing for a load into none.

    Args:
        ckan: The one that the load is into; None if it is into none.
        steps: Of the load.
        destination: Has the table that readers see.
    """

    def __init__(self, ckan: Ckan | None, steps: Steps, destination: Destination) -> None:
        self._ckan = ckan
        self._steps = steps
        self._destination = destination
        self._resource_id = steps.report.resource_id
        self._has_gone = False  # CKAN has said so, and need not be asked again

    def register(self) -> None:
        """Let CKAN show the table, as ``tell_ckan`` does."""
        if self._ckan is not None:
            with self._steps.step("register", "telling CKAN"):
                tell_ckan(self._ckan, self._steps.report)

    def show(self, *, registers: bool) -> None:
        """Let CKAN show the table, but not know its file: not all is done.

        Args:
            registers: Whether this load registers the table in the end. If a later step does, an
                error here is no reason to fail: that step asks CKAN again.
        """
        try:
            self.register()
        except CkanError as error:
            if registers or self._is_gone():
                raise
            _log.warning("not shown before it is registered: %s", error)

    def check_indexed(self) -> None:
        """See whether the rows have no index because CKAN has dropped the table."""
        if not self._destination.settled and self._is_gone():
            raise CkanNotFound(f"the resource {self._resource_id} was deleted")

    @contextmanager
    def withdrawn_if_gone(self) -> Iterator[None]:
        """Drop the table that this load has put there if its resource was deleted meanwhile."""
        try:
            yield
        except AircanError as error:
            if not self._destination.has_begun or not self._is_gone():
                raise
            try:
                dropped = self._destination.withdraw()
            except AircanError as second:
                _log.warning("the table of %s is not dropped: %s", self._resource_id, second)
                dropped = False
            raise gone(self._resource_id, dropped=dropped) from error

    def _is_gone(self) -> bool:
        if self._ckan is None:
            return False
        self._has_gone = self._has_gone or is_gone(self._ckan, self._resource_id)
        return self._has_gone
