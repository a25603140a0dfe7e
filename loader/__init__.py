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
    from loader.ckan.settings import BatchSettings
    from loader.net.guard import Guard
    from loader.net.limits import Limits
    from loader.net.settings import SourceSettings
    from loader.options import Options
    from loader.progress import Progress
    from loader.report import Report
    from loader.resources import Outcome

__all__ = [
    "AircanError",
    "BatchSettings",
    "Guard",
    "Limits",
    "Options",
    "Outcome",
    "Progress",
    "Report",
    "SourceSettings",
    "errors",
    "load",
    "reload",
    "reload_all",
    "reload_dataset",
]
__version__ = "0.1.0"

# Imported when they are asked for: a DAG file, read every few seconds, needs none of them.
_HOMES = {
    "BatchSettings": "ckan.settings",
    "Guard": "net.guard",
    "Limits": "net.limits",
    "Options": "options",
    "Outcome": "resources",
    "Progress": "progress",
    "Report": "report",
    "SourceSettings": "net.settings",
    "load": "api",
    "reload": "api",
    "reload_all": "api",
    "reload_dataset": "api",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
