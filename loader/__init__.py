"""AirCan's loader: a large CSV into a CKAN DataStore, typed, verified, nothing lost.

``load("https://example.org/trips.csv.gz", resource_id="trips")`` is all that most callers need.
"""

from __future__ import annotations

import os
from typing import Any

from loader import errors
from loader.errors import AircanError
from loader.options import Options
from loader.pipeline import load as _load
from loader.progress import Progress
from loader.report import Report

__all__ = ["AircanError", "Options", "Progress", "Report", "errors", "load"]
__version__ = "0.1.0"


def load(
    source: str | os.PathLike[str],
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
        AircanError: The old table is as it was; ``error.report`` tells how far the load came,
            and is None if a wrong option kept it from beginning.
    """
    return _load(source, Options(**options), progress)
