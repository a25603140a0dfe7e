"""What the runs left -> the resources whose newest load did not end well.

In: the artifacts of steps named ``prepare`` (``resource.json``, or ``error.json``) and ``report``
(``report.json``), also those of mapped groups: ``resource.prepare/3``. Out: ids of resources. Holds
two lines for each load that is still listed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from loader.errors import ArtifactsError, ArtifactsUnreachable
from loader.factory import artifact_schemas
from loader.factory.artifact_schemas import Schema
from loader.factory.artifacts import Artifacts, File

_log = logging.getLogger(__name__)

# Both files of ``prepare`` name the resource.
_WRITES = {"prepare": ("resource.json", "error.json"), "report": ("report.json",)}


def last_failed(
    artifacts: Artifacts,
    dag_ids: Sequence[str],
    is_going: Callable[[str, str], bool] = lambda _dag_id, _run_id: False,
) -> list[str]:
    """Return the resources whose newest load did not end well, the newest first.

    Args:
        artifacts: What the loads left.
        dag_ids: The DAGs that load.
        is_going: Whether a run, by its dag_id and run_id, has not ended yet: asked for loads
            without a report, which are no failures then.

    Raises:
        ArtifactsError: The artifacts cannot be listed.
    """
    outcomes: dict[str, bool] = {}
    for prepared, reported in _newest_first(artifacts, dag_ids):
        resource_id = _resource_id(artifacts, prepared)
        if resource_id is not None and resource_id not in outcomes:
            outcomes[resource_id] = (
                not is_going(prepared.parts[0], prepared.parts[1])
                if reported is None
                else not _ended_well(artifacts, reported)
            )
    return [resource_id for resource_id, failed in outcomes.items() if failed]


def begun(artifacts: Artifacts, dag_id: str, run_id: str) -> list[tuple[int, str]]:
    """Return the numbers and ids of the resources that the mapped tasks of a run have begun with.

    Raises:
        ArtifactsError: The artifacts cannot be listed.
    """
    found: dict[int, str] = {}
    for file in artifacts.files([dag_id]):
        group, _, step = file.parts[2].rpartition(".")
        named = group and step == "prepare" and file.parts[-1] in _WRITES["prepare"]
        if file.parts[1] == run_id and named and file.parts[3].isdecimal():
            resource_id = _resource_id(artifacts, file)
            if resource_id is not None:
                found[int(file.parts[3])] = resource_id
    return sorted(found.items())


def _newest_first(artifacts: Artifacts, dag_ids: Sequence[str]) -> list[tuple[File, File | None]]:
    """Return what each load, a run or a mapped part of one, was to do and what it reported."""
    written: dict[str, dict[tuple[str, ...], File]] = {step: {} for step in _WRITES}
    for file in artifacts.files(dag_ids):
        if len(file.parts) < 4 or not all(file.parts):
            continue  # of no step
        dag_id, run_id, task_id, *map_index = file.parts[:-1]
        group, _, step = task_id.rpartition(".")
        if file.parts[-1] in _WRITES.get(step, ()):
            load = (dag_id, run_id, group, *map_index)
            other = written[step].get(load)  # of an earlier try
            written[step][load] = file if other is None else max(other, file, key=_age)
    loads = [
        (prepared, _of_the_same_try(prepared, written["report"].get(load)))
        for load, prepared in written["prepare"].items()
    ]
    return sorted(loads, key=lambda load: (load[1] or load[0]).written, reverse=True)


def _age(file: File) -> datetime:
    return file.written


def _of_the_same_try(prepared: File, reported: File | None) -> File | None:
    """Return the report, unless the load was begun again after it."""
    return None if reported is None or reported.written < prepared.written else reported


def _resource_id(artifacts: Artifacts, prepared: File) -> str | None:
    named = _read(artifacts, prepared, artifact_schemas.NAMED)
    return None if named is None else named["resource_id"]


def _ended_well(artifacts: Artifacts, reported: File) -> bool:
    ended = _read(artifacts, reported, artifact_schemas.ENDED)
    return ended is not None and ended["error"] is None


def _read(artifacts: Artifacts, file: File, schema: Schema) -> Any:  # noqa: ANN401
    """Return what is in the file; None if it is damaged or gone by now."""
    try:
        return artifacts.place(*file.parts[:-1]).read_as(file.parts[-1], schema)
    except ArtifactsUnreachable:
        raise
    except ArtifactsError as error:
        _log.warning("%s", error)
        return None
