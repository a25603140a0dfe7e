"""What a person asks to be loaded again -> the resources to load, the smallest first.

In: a resource's id, a dataset's name, or the word for all that failed. Out: a list, left for the
mapped tasks that load one each. Holds a line for each resource.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from loader.ckan.client import Ckan
from loader.ckan.resource import no_table
from loader.errors import (
    ArtifactsError,
    CkanError,
    CkanForbidden,
    CkanNotFound,
    CkanRefused,
    UsageError,
)
from loader.factory import artifact_schemas
from loader.factory.artifacts import Place
from loader.factory.conf import STEPS
from loader.factory.failed import begun, last_failed
from loader.factory.run import Run

_log = logging.getLogger(__name__)

FAILED = "failed"
MOST_AT_ONCE = 1024  # what Airflow takes by default
_LIST = "resources.json"
# What failed to be validated is not to be loaded.
_DAGS = tuple(dag_id for dag_id, steps in STEPS.items() if "load" in steps)
_HUGE = 1 << 60  # what CKAN knows no size of comes last


def select(
    run: Run, what: str, is_going: Callable[[str, str], bool], most: int = MOST_AT_ONCE
) -> list[int]:
    """Find the resources and leave their list; return a number for each.

    Args:
        run: The run.
        what: A resource's id, a dataset's name or id, or ``failed``: all whose last load failed.
        is_going: Whether a DagRun is still to end.
        most: How many Airflow takes in one run. Of all that failed these are the smallest; the
            others are still among them when they are asked for again.

    Raises:
        UsageError: Nothing to load is meant, or a dataset with more resources than that.
        CkanError: CKAN does not tell.
    """
    with run.ckan() as ckan:
        if what == FAILED:
            found = _known(ckan, last_failed(run.artifacts, _DAGS, is_going))
        else:
            found = _named(ckan, what)
    if not found and what != FAILED:
        raise UsageError(f"{what} has no resource to load", hint="a CSV file, or its URL")
    found.sort(key=_size)
    if len(found) > most and what == FAILED:
        _log.warning("%d more have failed: ask for them when this run has ended", len(found) - most)
        found = found[:most]
    if len(found) > most:
        raise UsageError(
            f"{what} has {len(found):,} resources to load, and Airflow takes {most:,} in one run",
            hint="have it take more by max_map_length in the section [core] of its configuration",
        )
    listed = [{"resource_id": resource["id"], "bytes": resource.get("size")} for resource in found]
    run.place("find").write(_LIST, listed)
    return list(range(len(listed)))


def selected(run: Run, number: int) -> str:
    """Return the id of a resource that ``select`` found.

    Raises:
        ArtifactsError: Its list is damaged, or was made anew and is shorter.
    """
    ids = all_selected(run)
    if number >= len(ids):
        place = _list(run)
        raise place.damaged(
            _LIST, f"it has {len(ids)} resources, and the number {number} is asked for"
        )
    return ids[number]


def all_selected(run: Run) -> list[str]:
    """Return the ids of all, in the order of their numbers; none if they were not found yet."""
    place = _list(run)
    if not place.exists(_LIST):
        return []
    return [listed["resource_id"] for listed in place.read_as(_LIST, artifact_schemas.RESOURCES)]


def _list(run: Run) -> Place:
    return run.artifacts.place(run.dag_id, run.run_id, "find")


def numbered(run: Run) -> list[tuple[int, str]]:
    """Return the numbers and ids of all; of those that were begun, where their list is unreadable.

    Raises:
        ArtifactsError: The artifacts cannot be listed.
    """
    try:
        return list(enumerate(all_selected(run)))
    except ArtifactsError as error:
        _log.warning("%s: only what was begun is known", error)
    return begun(run.artifacts, run.dag_id, run.run_id)


def _known(ckan: Ckan, resource_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return those that CKAN shows: one may be deleted by now, private, or another CKAN's.

    Raises:
        CkanError: CKAN shows none of them, for another reason than that it has none of them.
    """
    known: list[dict[str, Any]] = []
    refused: CkanError | None = None
    for resource_id in resource_ids:
        try:
            known.append(ckan.resource(resource_id))
        except CkanNotFound as error:
            _log.info("%s is left out: %s", resource_id, error)
        except (CkanForbidden, CkanRefused) as error:
            _log.warning("%s is left out: %s", resource_id, error)
            refused = refused or error
    if refused and not known:  # the token is wrong, rather than all of them hidden
        raise refused
    return known


def _named(ckan: Ckan, what: str) -> list[dict[str, Any]]:
    try:
        return [ckan.resource(what)]
    except CkanNotFound:
        pass
    dataset = ckan.dataset(what)
    return [one for one in dataset["resources"] if not no_table(one)]


def _size(resource: Mapping[str, Any]) -> int:
    size = str(resource.get("size") or "")
    return int(size) if size.isdecimal() else _HUGE
