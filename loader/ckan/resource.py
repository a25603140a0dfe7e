"""What CKAN says of a resource -> where its file is, whether it is a table, how it is described.

In: CKAN's dictionary of a resource. Out: a URL, a reason, a descriptor. Holds nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from loader.errors import UsageError
from loader.net.guard import SCHEMES
from loader.net.uri import mask_uri
from loader.types.descriptor import from_json

_TABLES = re.compile(r"(text/|application/)?(csv|tsv|tab|tab-separated-values)", re.IGNORECASE)
_WITHOUT_FILE = ("datastore", "tabledesigner")  # their rows are nowhere but in the DataStore


class Locating(Protocol):
    """A CKAN that knows where the files of its resources are."""

    def location(self, resource: Mapping[str, Any]) -> str:
        """Return the URL of a resource's file."""


def no_table(resource: Mapping[str, Any]) -> str:
    """Return why a resource is none to be loaded, or nothing."""
    if not _has_file(resource):
        return "it has no file"
    kind = resource.get("format") or ""
    return "" if _TABLES.fullmatch(kind) else f"its format is {kind or 'not told'}"


def _has_file(resource: Mapping[str, Any]) -> bool:
    return bool(resource.get("url")) and resource.get("url_type") not in _WITHOUT_FILE


def location(ckan: Locating, resource: Mapping[str, Any]) -> str:
    """Return the URL of a resource's file: an editor may not name a file of this machine.

    Raises:
        UsageError: It has no file, or its URL leads to neither a web server nor a bucket.
    """
    if not _has_file(resource):
        raise UsageError(
            f"the resource {resource['id']} has no file",
            hint="load a file into it by its id",
            option="resource_id",
        )
    uri = ckan.location(resource)
    if urlsplit(uri).scheme.lower() not in SCHEMES:
        raise UsageError(
            f"the resource {resource['id']} is at none of {', '.join(SCHEMES)}: {mask_uri(uri)}",
            hint="correct its URL in CKAN; a local file is loaded by aircan load",
        )
    return uri


def descriptor(resource: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Return a descriptor that the resource has, as an object or as JSON text."""
    found = resource.get(name)
    if isinstance(found, str) and found.lstrip().startswith("{"):
        found = from_json(found, f"the resource's {name}")
    return found if isinstance(found, dict) else None
