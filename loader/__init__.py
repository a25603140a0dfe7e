"""AirCan's loader: a large CSV into a CKAN DataStore, typed, verified, nothing lost.

``load("https://example.org/trips.csv.gz", resource_id="trips")`` is all that most callers need.

Public are the names in ``__all__``, and in the modules ``loader.errors`` and ``loader.progress``
those without a leading underscore. All else below ``loader`` is private: it may change with any
version.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from loader import errors
from loader.errors import AircanError

if TYPE_CHECKING:
    from loader import progress
    from loader.api import infer, load, reload, reload_all, reload_dataset, validate
    from loader.ckan.settings import BatchSettings
    from loader.net.guard import Guard
    from loader.net.limits import Limits
    from loader.net.settings import SourceSettings
    from loader.options import LoadOptions, Options, ReadOptions, ReloadOptions
    from loader.progress import Progress
    from loader.report import Outcome, Report

__all__ = [
    "AircanError",
    "BatchSettings",
    "Guard",
    "Limits",
    "LoadOptions",
    "Options",
    "Outcome",
    "Progress",
    "ReadOptions",
    "ReloadOptions",
    "Report",
    "SourceSettings",
    "errors",
    "infer",
    "load",
    "progress",
    "reload",
    "reload_all",
    "reload_dataset",
    "validate",
]
__version__ = "0.1.0"

# Imported when they are asked for: a DAG file, read every few seconds, needs none of them.
_HOMES = {
    "BatchSettings": "ckan.settings",
    "Guard": "net.guard",
    "Limits": "net.limits",
    "LoadOptions": "options",
    "Options": "options",
    "Outcome": "report",
    "Progress": "progress",
    "ReadOptions": "options",
    "ReloadOptions": "options",
    "Report": "report",
    "SourceSettings": "net.settings",
    "infer": "api",
    "load": "api",
    "progress": "progress",
    "reload": "api",
    "reload_all": "api",
    "reload_dataset": "api",
    "validate": "api",
}

if not TYPE_CHECKING:  # to a type checker, a module with __getattr__ has every misspelt name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
        return home if name == _HOMES[name] else getattr(home, name)
