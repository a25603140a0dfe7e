"""What CKAN and a conf say of a resource -> frictionless descriptors, the form of all metadata.

In: CKAN's dictionaries, a conf's Resource. Out: descriptors without secrets. Holds one dataset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from loader.ckan.resource import descriptor
from loader.net.uri import mask_text, mask_uri

# CKAN's word -> frictionless's.
_RESOURCE = {
    "name": "title",
    "description": "description",
    "format": "format",
    "mimetype": "mediatype",
    "size": "bytes",
    "hash": "hash",
    "encoding": "encoding",
    "id": "resource_id",
    "package_id": "package_id",
}
_DATASET = {"name": "name", "title": "title", "notes": "description", "id": "id"}
_NO_NAME = re.compile(r"[^a-z0-9._-]+")


def of_resource(shown: Mapping[str, Any], given: Mapping[str, Any], uri: str) -> dict[str, Any]:
    """Return a Resource descriptor.

    Args:
        shown: CKAN's resource.
        given: The conf's Resource: it wins.
        uri: Where its file is; secrets are masked.
    """
    described = {ours: shown[word] for word, ours in _RESOURCE.items() if shown.get(word)}
    for part in ("schema", "dialect"):
        if found := descriptor(shown, part):
            described[part] = found
    described |= {name: value for name, value in given.items() if value is not None}
    size = str(described.pop("bytes", ""))  # CKAN takes any text for one
    described |= {"bytes": int(size)} if size.isdecimal() else {}
    described["format"] = str(described.get("format", "csv")).lower()
    described = _masked(described)
    title = (
        mask_text(str(given.get("name") or ""))
        or described.get("title")
        or described["resource_id"]
    )
    name = _NO_NAME.sub("-", str(title).lower()).strip("-") or "resource"
    return {**described, "name": name, "path": mask_uri(uri)}


def of_dataset(shown: Mapping[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Package descriptor of a dataset, with the one resource that is loaded."""
    described = {ours: shown[word] for word, ours in _DATASET.items() if shown.get(word)}
    return {**_masked(described), "resources": [dict(resource)]}


def _masked(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return a descriptor whose URLs, wherever they stand, may be shown.

    A schema and a dialect stay as they are: they say how the file is read.
    """
    return {
        name: value if name in ("schema", "dialect") else _masked_value(value)
        for name, value in described.items()
    }


def _masked_value(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, list):
        return [_masked_value(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _masked_value(item) for name, item in value.items()}
    return value
