"""What each action takes."""

from __future__ import annotations

import codecs
import re
import time
from typing import Any

from ckan.plugins import toolkit
from ckan.types import FlattenDataDict, FlattenErrorDict, FlattenKey, Schema

STATUSES = ["WAITING", "RUNNING", "DONE", "FAILED", "CANCELLED"]
FACTORY_STATUSES = ["RUNNING", "DONE", "FAILED"]  # of a job, by whoever works on it
JOB_TYPES = ["HARVEST", "LOAD", "VALIDATE"]
MODES = ["replace", "append", "upsert"]
FULL_TEXT = ["all", "text", "none"]
ON_CONCURRENT_WRITES = ["warn", "keep", "refuse"]
TYPES = ["auto", "strict"]
DATES = ["auto", "dmy", "mdy", "iso"]
DECIMALS = ["auto", "comma", "point"]
MISSING = ["keep", "auto"]
_PAGE, _LONGEST_PAGE = 20, 100
_LARGEST = 2**31 - 1
_LAST_HEADER_ROW = 1_000_000
_AHEAD_US = 3_600_000_000
# Codecs of Python's that no file is written in.
_NO_ENCODINGS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "t", "y", "1"), True),
    **dict.fromkeys(("false", "no", "off", "f", "n", "0"), False),
}
_AIRFLOW_NAME = re.compile(r"[A-Za-z0-9_.~:+@-]{1,250}")


def _v(*names: str) -> list[Any]:
    return [toolkit.get_validator(name) for name in names]


def _one_of(values: list[str]) -> Any:  # noqa: ANN401
    return toolkit.get_validator("one_of")(values)


def _default(value: object) -> Any:  # noqa: ANN401
    return toolkit.get_validator("default")(value)


def _strings(value: object) -> list[str]:
    """Take a list of strings, or one with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise toolkit.Invalid(toolkit._("Must be a list of strings"))
    return [part.strip() for part in parts if part.strip()]


def _delimiter(value: str) -> str:
    """Take a character that can stand between cells, as the loader does."""
    value = {"tab": "\t", "\\t": "\t"}.get(value, value)
    if len(value) != 1 or not value.isascii() or value.isalnum() or value in '"\r\n':
        raise toolkit.Invalid(toolkit._("Must be a single character such as ; or |, or tab"))
    return value


def _encoding(value: str) -> str:
    """Take the name of an encoding, as the loader does."""
    try:
        "".encode(value)
        is_valid = codecs.lookup(value).name not in _NO_ENCODINGS
    except (LookupError, ValueError):
        is_valid = False
    if not is_valid:
        raise toolkit.Invalid(toolkit._("Is not the name of an encoding"))
    return value


def _switch(value: Any) -> bool:  # noqa: ANN401
    """Take true, false or a word for it; CKAN's own validator takes any other word for false."""
    word = str(value).lower() if isinstance(value, (bool, int, str)) else ""
    if word not in _WORDS:
        raise toolkit.Invalid(toolkit._("Must be true or false"))
    return _WORDS[word]


def _share(value: Any) -> float:  # noqa: ANN401
    """Take a part of all rows, from 0 to 1."""
    try:
        share = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        share = None
    if share is None or not 0 <= share <= 1:  # NaN is in no range
        raise toolkit.Invalid(toolkit._("Must be a number from 0 to 1"))
    return share


def _truth(value: Any) -> bool:  # noqa: ANN401
    """Take true, false or a word for it: CKAN 2.11 stumbles over what is no text."""
    if not isinstance(value, (bool, int, str)):
        raise toolkit.Invalid(toolkit._("Must be true or false"))
    # Here, and not as the next in the schema: CKAN asks that one, too, when this has refused.
    (is_true,) = _v("boolean_validator")
    said: bool = is_true(value if isinstance(value, bool) else str(value), {})
    return said


def _number(smallest: int, largest: int) -> Any:  # noqa: ANN401
    """Take a whole number within bounds."""

    def take(value: Any) -> int:  # noqa: ANN401
        try:
            number = int(str(value))  # 1.5 and True are none
        except ValueError:
            number = None
        if number is None or not smallest <= number <= largest:
            why = toolkit._("Must be a whole number from {smallest} to {largest}")
            raise toolkit.Invalid(why.format(smallest=smallest, largest=largest))
        return number

    return take


def _name(value: str) -> str:
    """Take what Airflow may call a DAG or a run; its API has it in URLs."""
    if not _AIRFLOW_NAME.fullmatch(value) or not value.strip("."):
        raise toolkit.Invalid(toolkit._("Is no name of Airflow's"))
    return value


def _sequence(value: Any) -> int:  # noqa: ANN401
    """Take microseconds since 1970: now, or before; workers' clocks may be a little ahead."""
    latest = time.time_ns() // 1000 + _AHEAD_US
    return _number(1, latest)(value)


def settings() -> Schema:
    """Of aircan_settings_update."""
    return {
        "resource_id": _v("not_empty", "unicode_safe"),
        "mode": [*_v("ignore_empty", "unicode_safe"), _one_of(MODES)],
        "unique_keys": [*_v("ignore_empty"), _strings],
        **options(),
    }


def options() -> Schema:
    """Of those options of a load that are settings of a resource, too."""
    return {
        "encoding": [*_v("ignore_empty", "unicode_safe"), _encoding],
        "delimiter": [*_v("ignore_missing", "unicode_safe"), _delimiter_or_none],
        "header_row": [_if_said, _number(0, _LAST_HEADER_ROW)],
        "full_text": [*_v("ignore_empty", "unicode_safe"), _one_of(FULL_TEXT)],
        "on_concurrent_writes": [
            *_v("ignore_empty", "unicode_safe"),
            _one_of(ON_CONCURRENT_WRITES),
        ],
        **reading(),
    }


def reading() -> Schema:
    """Of those of them that are settings of the portal, too."""
    return {
        "default_encoding": [_if_said, *_v("unicode_safe"), _encoding],
        "types": [_if_said, *_v("unicode_safe"), _one_of(TYPES)],
        "dates": [_if_said, *_v("unicode_safe"), _one_of(DATES)],
        "decimal": [_if_said, *_v("unicode_safe"), _one_of(DECIMALS)],
        "missing": [_if_said, *_v("unicode_safe"), _one_of(MISSING)],
        "strip": [_if_said, _switch],
        "keep_types": [_if_said, _switch],
        "max_bad_rows": [_if_said, _number(0, _LARGEST)],
        "max_bad_share": [_if_said, _share],
    }


def _if_said(
    key: FlattenKey,
    data: FlattenDataDict,
    errors: FlattenErrorDict,  # noqa: ARG001
    context: Any,  # noqa: ANN401, ARG001
) -> None:
    """Leave out what nobody says; to CKAN's ignore_empty 0 and False are nothing, too."""
    if data.get(key) in (toolkit.missing, None, ""):
        data.pop(key, None)
        raise toolkit.StopOnError


def _delimiter_or_none(value: str) -> str:
    if value == "":
        raise toolkit.StopOnError
    return _delimiter(value)


def submit() -> Schema:
    """Of aircan_submit."""
    return {
        "resource_id": _v("not_empty", "unicode_safe"),
        "dataset": _v("ignore_empty", "unicode_safe"),
        "dag_id": _v("ignore_empty", "unicode_safe"),
        "mode": [*_v("ignore_empty", "unicode_safe"), _one_of(MODES)],
        "unique_keys": [*_v("ignore_empty"), _strings],
        "options": [*_v("ignore_empty"), _valid_options],
        "force": [_default("true"), _truth],
        "trigger": [_default("submit"), *_v("unicode_safe"), _one_of(["submit", "rerun"])],
    }


def _valid_options(given: Any) -> dict[str, Any]:  # noqa: ANN401
    """Take options of a load; those that are no settings are the factory's to refuse."""
    (is_dict,) = _v("dict_only")
    is_dict(given)
    known = {name: checks for name, checks in options().items() if name in given}
    valid, errors = toolkit.navl_validate({name: given[name] for name in known}, known)
    if errors:
        raise toolkit.Invalid("; ".join(f"{name}: {why[0]}" for name, why in errors.items()))
    others = {name: value for name, value in given.items() if name not in known}
    return others | {name: valid[name] for name in known if name in valid}


def resource() -> Schema:
    """Of actions on a resource."""
    return {"resource_id": _v("not_empty", "unicode_safe")}


def job() -> Schema:
    """Of actions on a job."""
    return {"id": _v("not_empty", "unicode_safe")}


def job_show() -> Schema:
    """Of aircan_job_show."""
    return {**job(), "ask": [_default("true"), _truth]}


def log() -> Schema:
    """Of aircan_job_log."""
    return {
        **job(),
        "step": _v("ignore_empty", "unicode_safe"),
        "page": [_default(None), *_v("ignore_empty"), _number(1, _LARGEST)],
    }


def job_list() -> Schema:
    """Of aircan_job_list."""
    return {
        "dataset": _v("ignore_empty", "unicode_safe"),
        "resource": _v("ignore_empty", "unicode_safe"),
        "user": _v("ignore_empty", "unicode_safe"),
        "status": [*_v("ignore_empty", "unicode_safe"), _one_of(STATUSES)],
        "job_type": [*_v("ignore_empty", "unicode_safe"), _one_of(JOB_TYPES)],
        "limit": [
            _default(_PAGE),
            lambda value: min(_number(0, _LARGEST)(value), _LONGEST_PAGE),
        ],
        "offset": [_default(0), _number(0, _LARGEST)],
    }


def status_update() -> Schema:
    """Of aircan_status_update: docs/status-updates.md."""
    return {
        "job_id": _v("ignore_missing", "ignore_empty", "unicode_safe"),
        "job_type": [*_v("not_empty", "unicode_safe"), _one_of(JOB_TYPES)],
        "dag_id": [*_v("not_empty", "unicode_safe"), _name],
        "run_id": [*_v("not_empty", "unicode_safe"), _name],
        "resource_id": _v("not_empty", "unicode_safe"),
        "sequence": [*_v("not_empty"), _sequence],
        "status": [*_v("not_empty", "unicode_safe"), _one_of(FACTORY_STATUSES)],
        "step": _v("not_empty", "unicode_safe"),
        "message": _v("not_missing", "unicode_safe"),
        "info": [_default({}), *_v("dict_only")],
    }


def columns_change() -> Schema:
    """Of aircan_columns_change."""
    column = {"id": _v("not_empty", "unicode_safe"), "type": _v("not_empty", "unicode_safe")}
    return {
        "resource_id": _v("not_empty", "unicode_safe"),
        "job_id": _v("ignore_missing", "ignore_empty", "unicode_safe"),
        "run_id": _v("ignore_missing", "ignore_empty", "unicode_safe"),
        "before": column,
        "after": column,
    }
