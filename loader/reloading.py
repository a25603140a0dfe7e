"""What CKAN says of a resource -> its file, loaded: one resource, those of a dataset, or all.

Holds one resource at a time beside what its load holds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from loader.ckan.resource import descriptor, location, no_table
from loader.errors import (
    AircanError,
    Cancelled,
    CkanForbidden,
    CkanNotFound,
    untouched,
)
from loader.options import Options, completed, guarded
from loader.pipeline.load import load
from loader.pipeline.portal import required_ckan
from loader.progress import Progress, Silent
from loader.report import Outcome, Report
from loader.source.stream import open_source

if TYPE_CHECKING:
    from loader.ckan.client import Ckan

_log = logging.getLogger(__name__)


def reload(
    resource_id: str, options: Options = Options(), progress: Progress | None = None
) -> Report:
    """Load the file of a resource that CKAN knows.

    Args:
        resource_id: The resource.
        options: How to load; what they leave open of the file, the resource says. Its URL is
            not the caller's: without a guard in ``source``, only public addresses and those of
            ``AIRCAN_ALLOWED_HOSTS`` are fetched from, and CKAN's own for the resource's upload.
        progress: Is told of every step and block.

    Raises:
        UsageError: No CKAN is named, or the resource has no file.
        AircanError: As ``loader.load``.
    """
    with untouched():
        options = guarded(completed(options))
        ckan = required_ckan(options)
    with ckan:
        with untouched():
            resource = ckan.resource(resource_id)
        return _load(ckan, resource, options, progress)


def reload_dataset(
    name: str,
    options: Options = Options(),
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Load the files of a dataset that are not in the DataStore yet; yield what became of each.

    Args:
        name: The dataset's name or id.
        options: As for ``reload``.
        force: Load what is in the DataStore already, too.
        progress: Is told of every step and block.

    Raises:
        UsageError: No CKAN is named.
        CkanError: CKAN does not tell the dataset.
    """
    options = guarded(completed(options))
    with required_ckan(options) as ckan:  # now: not when the first outcome is asked for
        dataset = ckan.dataset(name)
    return _outcomes([dataset["id"]], options, force=force, progress=progress)


def reload_all(
    options: Options = Options(), *, force: bool = False, progress: Progress | None = None
) -> Iterator[Outcome]:
    """Do as ``reload_dataset`` does, for every dataset that the token may see."""
    options = guarded(completed(options))
    with required_ckan(options) as ckan:
        # All of them first: pages shift when a dataset is deleted during hours of loads.
        datasets = [dataset["id"] for dataset in ckan.datasets()]
    return _outcomes(datasets, options, force=force, progress=progress)


def _outcomes(
    datasets: Iterable[str], options: Options, *, force: bool, progress: Progress | None
) -> Iterator[Outcome]:
    with required_ckan(options) as ckan:
        yield from _Each(ckan, options, force, progress or Silent()).of(datasets)


@dataclass(frozen=True)
class _Each:
    """Loads one resource after the other; the failure of one does not stop the others."""

    ckan: Ckan
    options: Options
    force: bool
    progress: Progress

    def of(self, datasets: Iterable[str]) -> Iterator[Outcome]:
        for dataset_id in datasets:
            try:
                dataset = self.ckan.dataset(dataset_id)
            except CkanNotFound:
                _log.info("the dataset %s was deleted meanwhile", dataset_id)
                continue
            except CkanForbidden as error:  # it was made private meanwhile
                yield Outcome(dataset_id, "", "", "failed", reason=str(error))
                continue
            for resource in dataset["resources"]:
                named = (dataset["name"], resource["id"], str(resource.get("name") or ""))
                yield self._reloaded(Outcome(*named, "skipped"))

    def _reloaded(self, outcome: Outcome) -> Outcome:
        try:
            with untouched():
                resource = self.ckan.resource(outcome.resource_id)
                if reason := no_table(resource):
                    return replace(outcome, reason=reason)
                if not self.force and self._is_loaded(resource):
                    return replace(outcome, status="unchanged")
            report = _load(self.ckan, resource, self.options, self.progress)
        except Cancelled:
            raise
        except AircanError as error:
            _log.warning("%s: %s", outcome.resource_id, error)
            return replace(
                outcome, status="failed", report=error.report, reason=str(error), table=error.table
            )
        except Exception as error:  # noqa: BLE001  (the others are loaded all the same)
            _log.exception("%s", outcome.resource_id)
            reason = f"unexpected {type(error).__name__}: please report this, with the log"
            return replace(outcome, status="failed", reason=reason, table="unknown")
        return replace(outcome, status="loaded", report=report, table=report.table)

    def _is_loaded(self, resource: Mapping[str, Any]) -> bool:
        """Tell whether the DataStore has this very file, which is read for that."""
        if not (resource.get("datastore_active") and resource.get("hash")):
            return False
        uri = location(self.ckan, resource)
        self.progress.begin("comparing the file with the last one loaded")
        settings = self.ckan.fetching(uri, resource["id"], self.options.source)
        with open_source(uri, settings) as source:
            source.hash_as_read()
            return source.md5() == str(resource["hash"])


def _load(
    ckan: Ckan, resource: Mapping[str, Any], options: Options, progress: Progress | None
) -> Report:
    uri = location(ckan, resource)
    described = replace(
        options,
        resource_id=resource["id"],
        dataset_id=resource["package_id"],
        schema=options.schema or descriptor(resource, "schema"),
        dialect=options.dialect or descriptor(resource, "dialect"),
        encoding=options.encoding or resource.get("encoding") or None,
    )
    return load(uri, described, progress)
