"""What the JSON of an artifact has to be like: whoever reads one has it checked by one of these.

In: a value of any form, since somebody else may have written there. Out: nothing, or what is wrong
with it, in words. What is not named in a schema may be there too: a newer version may write more.
Holds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from loader.choices import TakenVia
from loader.report import STEPS

_MOST = 2**63 - 1
_LEAST_S, _MOST_S = 1e-6, 1e9  # but 0: of a step in a report, which has milliseconds
_LONGEST_ID = 200
_DEEPEST = 100  # objects and lists in one another: Python's own functions take some hundreds


class SchemaViolation(ValueError):
    """A value is not what it has to be; says what is wrong in a few words."""


# Of a value and of what it is called.
Schema = Callable[[object, str], None]


def _of(fits: Callable[[Any], bool], words: str) -> Schema:
    def schema(value: object, called: str) -> None:
        if not fits(value):
            raise SchemaViolation(f"{called} is no {words}")

    return schema


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_seconds(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and (value == 0 or _LEAST_S <= value <= _MOST_S)  # type: ignore[operator]


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable()


ANYTHING = _of(lambda _: True, "value")
TEXT = _of(lambda value: isinstance(value, str), "text")
FLAG = _of(lambda value: isinstance(value, bool), "true or false")
_TRUE = _of(lambda value: value is True, "true")
WHOLE = _of(_is_whole, "whole number")
COUNT = _of(lambda value: _is_whole(value) and value <= _MOST, "count")
SECONDS = _of(_is_seconds, "number of seconds")
ID = _of(_is_id, "id")
OBJECT = _of(lambda value: isinstance(value, dict), "JSON object")
_LIST = _of(lambda value: isinstance(value, list), "JSON list")


def one_of(*values: str) -> Schema:
    """Return the schema of a choice."""
    return _of(lambda value: isinstance(value, str) and value in values, " or ".join(values))


def nullable(schema: Schema) -> Schema:
    """Return the schema of what may be null."""

    def either(value: object, called: str) -> None:
        if value is not None:
            schema(value, called)

    return either


def list_of(schema: Schema) -> Schema:
    """Return the schema of a list, all of whose items are alike."""

    def schema_of_list(value: Any, called: str) -> None:  # noqa: ANN401
        _LIST(value, called)
        for number, item in enumerate(value):
            schema(item, f"{_below(called)}[{number}]")

    return schema_of_list


def object_of(needed: Mapping[str, Schema], **known: Schema) -> Schema:
    """Return the schema of an object.

    Args:
        needed: What it has to have.
        known: What it may have.
    """

    def schema_of_object(value: Any, called: str) -> None:  # noqa: ANN401
        OBJECT(value, called)
        if lacking := [name for name in needed if name not in value]:
            raise SchemaViolation(f"{called} lacks {', '.join(lacking)}")
        for name, schema in (*needed.items(), *known.items()):
            if name in value:
                schema(value[name], f"{_below(called)}.{name}".lstrip("."))

    return schema_of_object


def _below(called: str) -> str:
    return "" if called == "it" else called


def check(value: object, schema: Schema) -> None:
    """Check a value.

    Raises:
        SchemaViolation: It does not fit the schema.
    """
    schema(value, "it")


def parse(content: bytes) -> Any:  # noqa: ANN401
    """Return the value of JSON as every program reads it: without NaN, and not endlessly deep.

    Raises:
        SchemaViolation: It is something else.
    """
    value = _decoded(content)
    _check_depth(value)
    return value


def _decoded(content: bytes) -> Any:  # noqa: ANN401
    try:
        return _DECODER.decode(content.decode())
    except SchemaViolation:
        raise
    except ValueError:
        raise SchemaViolation("it is not JSON") from None
    except RecursionError:
        raise SchemaViolation("it is nested too deeply") from None


def _refuse(text: str) -> float:
    raise SchemaViolation(f"it has {text}, which is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise SchemaViolation("it has a number that is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(_DEEPEST):
        level = [item for parent in level for item in _items(parent)]
        if not level:
            return
    raise SchemaViolation("it is nested too deeply")


def _items(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def rows(lines: Iterator[bytes], names: Sequence[str], count: int) -> Iterator[bytes]:
    """Yield the lines of rows that were written down, the columns' names first.

    Args:
        lines: Each a JSON list.
        names: Of the columns.
        count: How many rows there are to be.

    Raises:
        SchemaViolation: A line is something else, or there are more or fewer.
    """
    found = -1  # the line with the names
    for line in lines:
        cells = _decoded(line)
        if found < 0 and cells != list(names):
            raise SchemaViolation("its first line is not that of the columns")
        if not _is_row(cells, len(names)):
            raise SchemaViolation(f"line {found + 2} is no row of {len(names)} cells")
        found += 1
        yield line
    if found != count:
        raise SchemaViolation(f"it has {max(found, 0)} rows, and the report tells of {count}")


def _is_row(cells: object, width: int) -> bool:
    is_list = isinstance(cells, list) and len(cells) == width
    return is_list and all(cell is None or isinstance(cell, str) for cell in cells)  # type: ignore[attr-defined]


# What is left by the steps, and read by others.

# resource.json of ``prepare`` and ``convert``; ``bytes`` is what CKAN has for the size of a file.
_DESCRIPTION = {"schema": nullable(OBJECT), "dialect": nullable(OBJECT), "bytes": WHOLE}
_FOUND = {"file": TEXT, "dataset": TEXT}
FILE = object_of({"resource_id": TEXT, "path": TEXT, "aircan": object_of(_FOUND)}, **_DESCRIPTION)
_TAKEN = {**_FOUND, "via": one_of(*get_args(TakenVia)), "reason": TEXT}
PREPARED = object_of(
    {"resource_id": TEXT, "path": TEXT, "aircan": object_of(_TAKEN)}, **_DESCRIPTION
)

_ERROR = {"message": TEXT, "hint": nullable(TEXT)}
_MORE_OF_ERROR = {
    "type": TEXT,
    "row": nullable(COUNT),
    "column": nullable(TEXT),
    "value": nullable(TEXT),
    "option": nullable(TEXT),
    "retryable": FLAG,
    "table": TEXT,
}
ERROR = object_of(_ERROR, **_MORE_OF_ERROR)

# Of any report: whether there is an error, and which.
OUTCOME = object_of(
    {}, error=nullable(object_of({"message": TEXT}, hint=nullable(TEXT), **_MORE_OF_ERROR))
)
# Of any report or error: what has become of the table, which older versions did not say.
STATE = object_of({}, table=TEXT)
ENDED = object_of({"error": nullable(OBJECT)})
NAMED = object_of({"resource_id": ID})  # of either of what ``prepare`` leaves

_BAD_ROWS = {
    "rejected": COUNT,
    "repaired": COUNT,
    "rejects": nullable(TEXT),
    "first": list_of(OBJECT),
}
_MORE_OF_LOAD = {
    "source": TEXT,
    "via": TEXT,
    "mode": TEXT,
    "bytes": COUNT,
    "columns": list_of(
        object_of(
            {"id": TEXT, "type": TEXT, "label": TEXT},
            read_as=nullable(TEXT),  # which older versions did not say, nor the others
            missing=OBJECT,
            would_be=nullable(TEXT),
        )
    ),
    "timings_s": object_of(dict.fromkeys(STEPS, SECONDS)),
    "hash": nullable(TEXT),
}
_OF_LOAD = {"resource_id": TEXT, "rows": COUNT, "warnings": list_of(TEXT)}
_STATE = {"table": TEXT}  # older versions had the table's name there
# The part that CKAN is told, and the whole, which a later step needs.
LOADED = object_of(
    _OF_LOAD | {"bad_rows": object_of({"rejected": COUNT}, **_BAD_ROWS)}, **_MORE_OF_LOAD, **_STATE
)
LOAD = object_of(_OF_LOAD | _MORE_OF_LOAD | {"bad_rows": object_of(_BAD_ROWS)}, **_STATE)

_FAULT = object_of(
    {"type": TEXT, "message": TEXT}, rowNumber=nullable(COUNT), fieldName=nullable(TEXT)
)  # of frictionless
VALIDATION = object_of(
    {
        "valid": FLAG,
        "stats": object_of({"errors": COUNT, "warnings": COUNT}),
        "tasks": list_of(object_of({"errors": list_of(_FAULT)})),
        "errors": list_of(_FAULT),
    }
)

_FIELD = object_of({"id": TEXT, "type": TEXT, "info": OBJECT})
_TABLE = object_of({"fields": list_of(_FIELD), "aliases": list_of(TEXT), "rows": COUNT})
_BEFORE, _REPLACING = object_of({"before": nullable(_TABLE)}), object_of({"is_replacing": _TRUE})


def _table(value: object, called: str) -> None:
    is_replacing = isinstance(value, dict) and "is_replacing" in value
    (_REPLACING if is_replacing else _BEFORE)(value, called)


TABLE: Schema = _table  # what it was, or that a try has begun to replace it
RESOURCES = list_of(object_of({"resource_id": ID}))  # that ``find`` found
BEGUN = object_of({"newest_id": COUNT})
