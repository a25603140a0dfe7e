"""The calls of the library: their keywords are the fields of ``Options``.

Holds nothing of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from loader import resources
from loader.options import Options, completed
from loader.pipeline import load as _load
from loader.progress import Progress
from loader.report import Report
from loader.resources import Outcome


def load(
    source: str | os.PathLike[str],
    /,  # the options have a `source`, too
    *,
    progress: Progress | None = None,
    **options: Any,  # noqa: ANN401  (Options names and types them)
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
    return _load(source, completed(Options(**options)), progress)


def reload(
    resource_id: str,
    *,
    progress: Progress | None = None,
    **options: Any,  # noqa: ANN401
) -> Report:
    """Load the file of a resource that CKAN knows, as CKAN describes it; see ``load``."""
    return resources.reload(resource_id, Options(**options), progress)


def reload_dataset(
    name: str,
    *,
    force: bool = False,
    progress: Progress | None = None,
    **options: Any,  # noqa: ANN401
) -> Iterator[Outcome]:
    """Load the files of a dataset; yield what became of each.

    Args:
        name: The dataset's name or id.
        force: Load those too whose file is in the DataStore already.
        progress: As for ``load``.
        **options: As for ``load``.
    """
    return resources.reload_dataset(name, Options(**options), force=force, progress=progress)


def reload_all(
    *,
    force: bool = False,
    progress: Progress | None = None,
    **options: Any,  # noqa: ANN401
) -> Iterator[Outcome]:
    """Do as ``reload_dataset`` does, for every dataset that the token may see."""
    return resources.reload_all(Options(**options), force=force, progress=progress)
