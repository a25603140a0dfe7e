"""The library's calls: load, reload, infer, validate, with every option as a typed keyword.

In: a source or a resource, and keywords that are the fields of ``Options``. Out: a Report,
Outcomes, or a descriptor as a dict. Holds nothing of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from typing_extensions import Unpack

from loader import describe, reloading
from loader.options import LoadOptions, Options, ReadOptions, ReloadOptions, completed
from loader.pipeline.load import load as load_source
from loader.progress import Progress
from loader.report import Outcome, Report


def load(
    source: str | os.PathLike[str],
    /,  # the options have a `source`, too
    *,
    progress: Progress | None = None,
    **options: Unpack[LoadOptions],
) -> Report:
    """Load a CSV into a DataStore table, which is replaced when the new one is whole.

    Args:
        source: A local path, or an http(s):// or gs:// URL.
        progress: Is told of every step and block; see ``loader.progress``.
        **options: The fields of ``Options``: ``resource_id``, ``datastore_url``, ``schema``...

    Returns:
        What was loaded.

    Raises:
        AircanError: ``error.table`` tells what has become of the table, and ``error.report`` how
            far the load came; it is None if a wrong option kept it from beginning.
    """
    return load_source(source, completed(Options(**options)), progress)


def reload(
    resource_id: str,
    *,
    progress: Progress | None = None,
    **options: Unpack[ReloadOptions],
) -> Report:
    """Load the file of a resource that CKAN knows, as CKAN describes it.

    Args:
        resource_id: The resource.
        progress: As for ``load``.
        **options: As for ``load``; what they leave open of the file, the resource says.

    Returns:
        What was loaded.

    Raises:
        UsageError: No CKAN is named, or the resource has no file.
        AircanError: As ``load``.
    """
    _refuse_others("reload", ReloadOptions, options)
    return reloading.reload(resource_id, Options(**options), progress)


def reload_dataset(
    name: str,
    *,
    force: bool = False,
    progress: Progress | None = None,
    **options: Unpack[ReloadOptions],
) -> Iterator[Outcome]:
    """Load the files of a dataset; yield what became of each.

    Args:
        name: The dataset's name or id.
        force: Load those too whose file is in the DataStore already.
        progress: As for ``load``.
        **options: As for ``reload``.

    Raises:
        UsageError: No CKAN is named.
        CkanError: CKAN does not tell the dataset. What fails later is in an Outcome.
    """
    _refuse_others("reload_dataset", ReloadOptions, options)
    return reloading.reload_dataset(name, Options(**options), force=force, progress=progress)


def reload_all(
    *,
    force: bool = False,
    progress: Progress | None = None,
    **options: Unpack[ReloadOptions],
) -> Iterator[Outcome]:
    """Do as ``reload_dataset`` does, for every dataset that the token may see.

    Args:
        force: As for ``reload_dataset``.
        progress: As for ``load``.
        **options: As for ``reload``.

    Raises:
        UsageError: No CKAN is named.
        CkanError: CKAN does not tell its datasets. What fails later is in an Outcome.
    """
    _refuse_others("reload_all", ReloadOptions, options)
    return reloading.reload_all(Options(**options), force=force, progress=progress)


def infer(source: str | os.PathLike[str], /, **options: Unpack[ReadOptions]) -> dict[str, Any]:
    """Return what the beginning of a source tells, as a frictionless Resource descriptor.

    Args:
        source: As for ``load``.
        **options: Those of ``load`` that say how the file is to be read.

    Raises:
        AircanError: As ``load`` raises for the source and its header.
    """
    _refuse_others("infer", ReadOptions, options)
    return describe.infer(source, completed(Options(**options)))


def validate(source: str | os.PathLike[str], /, **options: Unpack[ReadOptions]) -> dict[str, Any]:
    """Return frictionless's report on every row of a source, constraints included.

    Args:
        source: As for ``load``.
        **options: As for ``infer``.

    Raises:
        AircanError: As ``load`` raises for the source and its header.
        UsageError: A pattern, a format or another constraint of the schema cannot be used.
    """
    _refuse_others("validate", ReadOptions, options)
    return describe.validate(source, completed(Options(**options)))


def _refuse_others(called: str, kind: type, given: Mapping[str, object]) -> None:
    """Refuse keywords that another call takes: they would be taken, and do nothing."""
    if others := sorted(given.keys() - kind.__annotations__.keys()):
        raise TypeError(f"{called}() got an unexpected keyword argument {others[0]!r}")
