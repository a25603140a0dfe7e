"""Rows that are added once, however often a run is done again.

An append is the one load that is not the same twice. In: a place that outlasts the tries of a run.
Out: the report of the try that added the rows, or whether one may have. Holds nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loader.ckan.batches import newest_id
from loader.ckan.client import Ckan
from loader.errors import RowsInDoubt
from loader.factory import artifact_schemas
from loader.factory.artifacts import Place
from loader.factory.conf import Conf
from loader.net.retry import Attempts, Backoff

_POLL_S = 2.0
_BEGUN, _DONE = "begun.json", "done.json"
_IN_DOUBT = "delete those that it added, if any, and trigger a new run"
_ADDED = "its rows were added by an earlier try of this run: a new run would add them once more"


class IdempotentAppend:
    """The tries of one load.

    Args:
        place: Of this alone.
        ckan: Has the resource.
        conf: What is to be loaded, and how.
    """

    def __init__(self, place: Place, ckan: Ckan, conf: Conf) -> None:
        self._place = place
        self._ckan = ckan
        self._conf = conf
        self._counts = conf.mode == "append"

    def done(self) -> Mapping[str, Any] | None:
        """Return the report of the try that added the rows, if there was one.

        Raises:
            ArtifactsError: There was one, and its report is damaged.
        """
        if self._counts and self._place.exists(_DONE):
            done: dict[str, Any] = self._place.read_as(_DONE, artifact_schemas.LOAD, _ADDED)
            return done
        return None

    def begin(self, late_s: float) -> None:
        """Note down which rows there are.

        Args:
            late_s: How long rows of an earlier try may still come in.

        Raises:
            ArtifactsError: What an earlier try noted down is damaged.
            RowsInDoubt: There are others since an earlier try, which may have added them.
        """
        if not self._counts:
            return
        newest = newest_id(self._ckan, self._conf.resource_id)
        if not self._place.exists(_BEGUN):
            self._place.write(_BEGUN, {"newest_id": newest})
            return
        before = self._place.read_as(_BEGUN, artifact_schemas.BEGUN, _IN_DOUBT)["newest_id"]
        attempts = Attempts(Backoff.steady(_POLL_S), limit_s=late_s)
        while newest == before and attempts.wait():
            newest = newest_id(self._ckan, self._conf.resource_id)
        if newest != before:
            raise RowsInDoubt(
                f"rows with an _id above {before} are there since an earlier try of this run,"
                " which may have added them",
                hint=_IN_DOUBT,
            )

    def end(self, report: Mapping[str, Any]) -> None:
        """Note down that the rows were added."""
        if self._counts:
            self._place.write(_DONE, report)
