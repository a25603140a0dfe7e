"""AirCan's loader: a large CSV into a CKAN DataStore, typed, verified, nothing lost.

``load("https://example.org/trips.csv.gz", resource_id="trips")`` is all that most callers need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from loader import errors
from loader.errors import AircanError

if TYPE_CHECKING:
    from loader.api import load, reload, reload_all, reload_dataset
    from loader.options import Options
    from loader.progress import Progress
    from loader.report import Report
    from loader.resources import Outcome

__all__ = [
    "AircanError",
    "Options",
    "Outcome",
    "Progress",
    "Report",
    "errors",
    "load",
    "reload",
    "reload_all",
    "reload_dataset",
]
__version__ = "0.1.0"

# Imported when they are asked for: a DAG file, read every few seconds, needs none of them.
_HOMES = {
    "Options": "options",
    "Outcome": "resources",
    "Progress": "progress",
    "Report": "report",
    "load": "library",
    "reload": "library",
    "reload_all": "library",
    "reload_dataset": "library",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
