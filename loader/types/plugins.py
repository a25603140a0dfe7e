"""frictionless's plugins, loaded without what they change in the whole process.

frictionless imports them the first time that it makes a schema or a field, and its plugin for CSV
raises ``csv.field_size_limit`` of the process. That limit is the caller's. Holds nothing.
"""

from __future__ import annotations

import csv
import importlib
import threading

_lock = threading.Lock()


def load() -> None:
    """Load the plugins, unless they are; whoever calls frictionless does this first."""
    with _lock:  # another call could take the raised limit for the caller's
        limit = csv.field_size_limit()
        try:
            importlib.import_module("frictionless.formats")
        finally:
            csv.field_size_limit(limit)
