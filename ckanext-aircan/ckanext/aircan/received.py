"""JSON that is received about a job -> what can be stored and shown of it.

In: any JSON. Out: the same without what Postgres takes in no JSON; the info of an update as far as
it has the form that docs/status-updates.md gives it. What has another form is left out: it is
shown to people, and no page may stumble over it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

_Form = Callable[[Any], Any]

# What has become of a resource's table, as docs/errors.md says.
TABLES = ("untouched", "replaced", "merged", "partly", "dropped", "unknown")

_LARGEST = 2**63 - 1  # of Postgres, and of what people count
_TEXT, _LIST = 2_000, 2_000  # characters, members
_SIGNS = 50  # for "no value", in one column
_DEEPEST = 50  # levels; what is told has eight, and Python gives up at some hundreds


def storable(value: Any, *, levels: int = _DEEPEST) -> Any:  # noqa: ANN401
    """Return JSON without NUL, half characters, Infinity, NaN, what is no bigint or very deep."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST else None
    return _storable_parts(value, levels - 1) if isinstance(value, (Mapping, list)) else value


def _storable_parts(value: Mapping[str, Any] | list[Any], levels: int) -> Any:  # noqa: ANN401
    if levels < 0:
        return None
    if isinstance(value, list):
        return [storable(part, levels=levels) for part in value]
    return {storable(name): storable(part, levels=levels) for name, part in value.items()}


def info(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of an update's info."""
    return _INFO(storable(given)) or {}


def _count(value: Any) -> int | None:  # noqa: ANN401
    is_valid = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_valid else None


def _share(value: Any) -> float | None:  # noqa: ANN401
    is_valid = isinstance(value, int | float) and not isinstance(value, bool)
    return min(max(float(value), 0.0), 1.0) if is_valid else None


def _rate(value: Any) -> float | None:  # noqa: ANN401
    is_valid = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_valid and 0 <= value <= _LARGEST else None


def _text(value: Any) -> str | None:  # noqa: ANN401
    return value[:_TEXT] if isinstance(value, str) else None


def _table(value: Any) -> str:  # noqa: ANN401
    return value if value in TABLES else "unknown"


def _truth(value: Any) -> bool | None:  # noqa: ANN401
    return value if isinstance(value, bool) else None


def _list_of(form: _Form) -> _Form:
    def take(value: Any) -> list[Any] | None:  # noqa: ANN401
        if not isinstance(value, list):
            return None
        return [part for part in map(form, value[:_LIST]) if part is not None]

    return take


def _object(*, others: bool = False, **forms: _Form) -> _Form:
    """Take an object with these members; others too, as they are, if they may be there."""

    def take(value: Any) -> dict[str, Any] | None:  # noqa: ANN401
        if not isinstance(value, dict):
            return None
        known = {name: forms[name](part) for name, part in value.items() if name in forms}
        return {name: part for name, part in value.items() if others and name not in forms} | known

    return take


def _texts(value: Any) -> dict[str, str] | None:  # noqa: ANN401
    if not isinstance(value, dict):
        return None
    return {name: part for name, part in value.items() if isinstance(part, str)}


def _counts(value: Any) -> dict[str, int] | None:  # noqa: ANN401
    if not isinstance(value, dict):
        return None
    few = itertools.islice(value.items(), _SIGNS)
    return {_text(name): count for name, part in few if (count := _count(part)) is not None}


_COLUMN = _object(
    id=_text,
    label=_text,
    type=_text,
    inferred_as=_text,
    widened_from=_text,
    read_as=_text,
    missing=_counts,
    would_be=_text,
)
_REJECT = _object(row=_count, reason=_text)
_BAD_ROWS = _object(rejected=_count, repaired=_count, rejects=_text, first=_list_of(_REJECT))
_REPORT = _object(
    others=True,
    rows=_count,
    rows_per_second=_rate,
    columns=_list_of(_COLUMN),
    bad_rows=_BAD_ROWS,
)
_ERROR = _object(
    type=_text,
    message=_text,
    hint=_text,
    option=_text,
    row=_count,
    column=_text,
    value=_text,
    retryable=_truth,
    table=_table,
)
_INFO = _object(
    table=_table,
    rows=_count,
    bytes=_count,
    progress=_share,
    warnings=_list_of(_text),
    report=_REPORT,
    artifacts=_texts,
    error=_ERROR,
    valid=_truth,
    errors=_count,
    first=_list_of(_object(row=_count, column=_text, type=_text, message=_text)),
)
