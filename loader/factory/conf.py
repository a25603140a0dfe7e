"""The conf of a DagRun -> what is to be done. Every caller's conf passes these JSON Schemas.

In: a dictionary, or the schemas that Airflow checks it by. Out: a Conf. Holds nothing else, and
imports nothing of weight: DAG files read it whenever they are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from loader.choices import (
    Dates,
    Decimal,
    FtsIndex,
    FullText,
    Missing,
    Mode,
    OnConcurrentWrites,
    OnTypeError,
    Types,
    Via,
)
from loader.errors import UsageError
from loader.types.descriptor import check_levels, from_json

CKAN_CONN_ID = "aircan_ckan"
DATASTORE_CONN_ID = "aircan_datastore"


# Each as a keyword of airflow.sdk.Param: "default" is the value, all others are JSON Schema.
# What has a section of its own is folded in the form; what may be null need not be filled in.
_CONNECTIONS: dict[str, dict[str, Any]] = {
    "ckan_conn_id": {
        "section": "Connections",
        "default": CKAN_CONN_ID,
        "type": "string",
        "minLength": 1,
        "title": "Connection of CKAN",
        "description": "Its host is CKAN's URL, its password an API token.",
    },
    "datastore_conn_id": {
        "section": "Connections",
        "default": DATASTORE_CONN_ID,
        "type": ["null", "string"],
        "title": "Connection of the DataStore's database",
        "description": "A Postgres connection, with CKAN's write role."
        " Without it, rows go through CKAN's API.",
    },
}
_LARGEST = 2**62  # Airflow hands a task no greater number
_PROPERTIES: dict[str, dict[str, Any]] = {
    "full_text": {"enum": list(get_args(FullText))},
    "fts_index": {"enum": list(get_args(FtsIndex))},
    "max_bad_rows": {"type": "integer", "minimum": 0, "maximum": _LARGEST},
    "max_bad_share": {"type": "number", "minimum": 0, "maximum": 1},
    "on_type_error": {"enum": list(get_args(OnTypeError))},
    "on_concurrent_writes": {"enum": list(get_args(OnConcurrentWrites))},
    "via": {"enum": list(get_args(Via))},
    "encoding": {"type": "string"},
    "delimiter": {"type": "string"},
    "header_row": {"type": "integer", "minimum": 0, "maximum": _LARGEST},
    "default_encoding": {"type": "string"},
    "types": {"enum": list(get_args(Types))},
    "dates": {"enum": list(get_args(Dates))},
    "decimal": {"enum": list(get_args(Decimal))},
    "missing": {"enum": list(get_args(Missing))},
    "keep_types": {"type": "boolean"},
    "strip": {"type": "boolean"},
    # No looser than the factory's own: those are its operators' to set.
    "max_bytes": {"type": ["integer", "string"], "minimum": 1, "maximum": _LARGEST},
    "max_ratio": {"type": ["number", "string"], "minimum": 1, "maximum": _LARGEST},
    "min_rate": {"type": ["number", "string"], "minimum": 0, "maximum": _LARGEST},
}
_OPTIONS: dict[str, Any] = {
    "section": "Options",
    "default": {},
    "type": ["null", "object"],
    "title": "Options of the load",
    "description": f"As of the command line: {', '.join(_PROPERTIES)}.",
    "properties": _PROPERTIES,
    "additionalProperties": False,
}
_ID = "[0-9A-Za-z_-]{1,100}"
_END = r"(?![\s\S])"  # where `$` would allow a newline
_RESOURCE: dict[str, Any] = {
    "type": ["object", "string"],
    "title": "Resource",
    "description": "The id of a resource in CKAN; or a frictionless Resource descriptor, JSON, with"
    " that resource_id: what it leaves out, the path above all, CKAN is asked for.",
    "pattern": rf"^({_ID}|\s*\{{[\s\S]*\}}\s*){_END}",
    "properties": {
        "resource_id": {"type": "string", "pattern": f"^{_ID}{_END}"},
        "path": {"type": "string"},
        "schema": {"type": "object"},
        "dialect": {"type": "object"},
    },
    "required": ["resource_id"],
}
_FROM_CKAN: dict[str, dict[str, Any]] = {
    "ckan_api_endpoint": {
        "section": "Set by CKAN",
        "default": None,
        "type": ["null", "string"],
        "title": "CKAN's API",
        "description": "Such as https://demo.ckan.org/api/. It has to be the connection's CKAN.",
    },
    "job_id": {
        "section": "Set by CKAN",
        "default": None,
        "type": ["null", "string"],
        "title": "Job",
        "description": "CKAN's id of the job, which its status is told by.",
    },
    "ckan_api_key": {
        "section": "Set by CKAN",
        "default": None,
        "type": ["null", "string"],
        "title": "API key (deprecated)",
        "description": "Airflow shows it to everybody: put it into the connection instead.",
    },
}

# The tasks of each DAG that works on resources; ``report`` comes after them.
_LOAD_STEPS = ("prepare", "convert", "load", "register")
STEPS: Mapping[str, tuple[str, ...]] = {
    "aircan_load": _LOAD_STEPS,
    "aircan_load_large": _LOAD_STEPS,
    "aircan_reload": _LOAD_STEPS,
    "aircan_validate": ("prepare", "validate"),
}

LOAD: Mapping[str, Mapping[str, Any]] = {
    "resource": _RESOURCE,
    "mode": {
        "section": "Options",
        "default": "replace",
        "enum": list(get_args(Mode)),
        "type": "string",
        "title": "What becomes of the rows in the table",
    },
    "unique_keys": {
        "section": "Options",
        "default": [],
        "type": ["null", "array"],
        "items": {"type": "string"},
        "title": "Columns of the unique key",
    },
    "options": _OPTIONS,
    **_CONNECTIONS,
    **_FROM_CKAN,
}
VALIDATE: Mapping[str, Mapping[str, Any]] = {
    "resource": _RESOURCE,
    "options": _OPTIONS,
    **_CONNECTIONS,
    **_FROM_CKAN,
}
RELOAD: Mapping[str, Mapping[str, Any]] = {
    "reload": {
        "type": "string",
        "minLength": 1,
        "title": "What to load",
        "description": "The id of a resource, the name of a dataset, or 'failed': every resource"
        " whose last load failed.",
    },
    "options": _OPTIONS,
    **_CONNECTIONS,
}
CLEANUP: Mapping[str, Mapping[str, Any]] = {
    "days": {
        "default": 30,
        "type": "number",
        "minimum": 0,
        "maximum": 36_500,
        "title": "Days that a run's artifacts are kept",
    },
    "dry_run": {"default": False, "type": "boolean", "title": "Only list"},
    **_CONNECTIONS,
}


# What a conf calls those options of the library that are not among its ``options``.
_NAMES = {
    "mode": "mode",
    "key": "unique_keys",
    "resource_id": "resource",
    "schema": "resource.schema",
    "dialect": "resource.dialect",
    "ckan_url": "ckan_conn_id",
    "ckan_token": "ckan_conn_id",
    "datastore_url": "datastore_conn_id",
}


def named(option: str | None) -> str | None:
    """Return what a conf calls an option of the library; None for one that it cannot set."""
    if option in _OPTIONS["properties"]:
        return f"options.{option}"
    return _NAMES.get(option or "")


@dataclass(frozen=True)
class Conf:
    """What a DagRun is to do with one resource.

    Attributes:
        resource: A frictionless Resource descriptor, with CKAN's ``resource_id``.
        mode: ``replace``, ``append`` or ``upsert``.
        unique_keys: The columns of the key.
        options: Of ``loader.Options``, by name.
        ckan_conn_id: The connection of CKAN.
        datastore_conn_id: That of the DataStore's database, if it can be reached.
        ckan_api_endpoint: CKAN's URL as the caller knows it.
        job_id: CKAN's job.
        ckan_api_key: A token, from callers that put it here.
    """

    resource: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "replace"
    unique_keys: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    ckan_conn_id: str = CKAN_CONN_ID
    datastore_conn_id: str | None = DATASTORE_CONN_ID
    ckan_api_endpoint: str | None = None
    job_id: str | None = None
    ckan_api_key: str | None = field(default=None, repr=False)

    @property
    def resource_id(self) -> str:
        """The resource, which is the table's name."""
        return str(self.resource["resource_id"])


def read(conf: Mapping[str, Any]) -> Conf:
    """Return what a conf asks for that Airflow has checked by ``LOAD`` or ``VALIDATE``.

    Args:
        conf: The DagRun's params; ``resource`` may be an id, or JSON text, as older callers
            send it.

    Raises:
        UsageError: The text is no such JSON, or there is an option that a conf may not set.
    """
    given = {
        name: value
        for name, value in conf.items()
        if name in LOAD and (value is not None or name == "datastore_conn_id")
    }
    given["resource"] = _descriptor(given.get("resource"))
    given["options"] = _options(conf)
    return Conf(**given)


def read_without_resource(conf: Mapping[str, Any], resource_id: str | None = None) -> Conf:
    """Return what a conf that Airflow has checked by ``RELOAD`` or ``CLEANUP`` asks for.

    Args:
        conf: The DagRun's params.
        resource_id: One of the resources that it means.

    Raises:
        UsageError: There is an option that a conf may not set.
    """
    given = {name: conf[name] for name in _CONNECTIONS if name in conf}
    given["options"] = _options(conf)
    return Conf({"resource_id": resource_id} if resource_id else {}, **given)


def _options(conf: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options, none of which is the operator's to set, such as a path or a URL."""
    options: Mapping[str, Any] = conf.get("options") or {}
    if unknown := sorted(options.keys() - _PROPERTIES.keys()):
        raise UsageError(
            f"the conf's options have {', '.join(unknown)}",
            hint=f"there are {', '.join(_PROPERTIES)}",
        )
    return options


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(_ID, value) is not None


def _descriptor(resource: object) -> Mapping[str, Any]:
    if _is_id(resource):
        return {"resource_id": resource}
    if isinstance(resource, str):
        resource = from_json(resource, "the conf's resource")
    else:
        check_levels(resource, "the conf's resource")
    if not isinstance(resource, dict) or not _is_id(resource.get("resource_id")):
        raise UsageError(
            "the conf's resource names no resource_id", hint='{"resource": {"resource_id": "..."}}'
        )
    for part in ("schema", "dialect"):  # of JSON text, Airflow has checked nothing
        if not isinstance(resource.get(part), dict | None):
            raise UsageError(f"the {part} of the conf's resource is not an object")
    return cast("Mapping[str, Any]", resource)
