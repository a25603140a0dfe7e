"""What may stand in an artifact: whatever fits its schema is taken without a surprise."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.ckan.actions import Table
from loader.factory import artifact_schemas, tasks
from loader.factory.artifact_schemas import Schema, SchemaViolation
from loader.factory.run import Settings
from loader.report import Report
from loader.types.column import Column

REPORT = Report("r", "http://a/b.csv", rows=3, hash="a").to_dict() | {
    "columns": [{"id": "a", "type": "text", "label": "A", "inferred_as": "text"}],
    "warnings": ["x"],
    "bad_rows": {"rejected": 1, "repaired": 0, "rejects": None, "first": [{"row": 2}]},
}
RESOURCE = {
    "resource_id": "r",
    "path": "http://a/b.csv",
    "bytes": 3,
    "schema": {"fields": []},
    "dialect": None,
    "aircan": {"file": "a", "dataset": "d", "via": "copy", "reason": ""},
}
ERROR = {"type": "NoRows", "message": "no", "hint": None, "row": 3, "column": "a", "value": "x"}
FAULT = {"type": "cell-error", "message": "no", "rowNumber": 3, "fieldName": "a"}
VALIDATION = {
    "valid": False,
    "stats": {"errors": 1, "warnings": 0},
    "tasks": [{"errors": [FAULT]}],
    "errors": [],
}
TABLE = {"before": Table((Column("a", "text"),), ("b",), 3).to_dict()}


def taken_up(told: Any) -> None:
    report = Report.from_dict(told)
    with report.timing("register"):
        pass
    json.dumps(report.to_dict(), allow_nan=False)


def told_of(told: Any) -> None:
    json.dumps(tasks._loaded(told), allow_nan=False)


def prepared(told: Any) -> None:
    assert told["aircan"]["via"] in ("copy", "api")
    (told["aircan"]["reason"] + told["aircan"]["file"]).split()
    tasks._max_loads(Settings(max_loads=2), told)


def table_of(told: Any) -> Table:
    return Table.from_dict(told["before"])


# name: schema, what is left, who takes what is read
ARTIFACTS: dict[str, tuple[Schema, Any, Callable[[Any], Any]]] = {
    "resource.json": (artifact_schemas.PREPARED, RESOURCE, prepared),
    "resource.json of a validation": (
        artifact_schemas.FILE,
        RESOURCE,
        lambda told: told["aircan"]["file"],
    ),
    "report.json": (artifact_schemas.LOAD, REPORT, taken_up),
    "report.json, told": (artifact_schemas.LOADED, REPORT, told_of),
    "report.json, its error": (
        artifact_schemas.OUTCOME,
        REPORT | {"error": ERROR},
        lambda told: tasks._without_resource(
            {"hint": None, **(told.get("error") or {"message": ""})}
        ),
    ),
    "report.json, ended": (artifact_schemas.ENDED, REPORT, lambda told: told["error"] is None),
    "validation": (artifact_schemas.VALIDATION, VALIDATION, tasks._validated),
    "error.json": (artifact_schemas.ERROR, ERROR, lambda told: f"{told['message']}{told['hint']}"),
    "table.json": (
        artifact_schemas.TABLE,
        TABLE,
        lambda told: (
            told.get("is_replacing") or (told["before"] and Table.from_dict(told["before"]))
        ),
    ),
    "resources.json": (
        artifact_schemas.RESOURCES,
        [{"resource_id": "r", "bytes": None}],
        lambda told: [one["resource_id"].encode() for one in told],
    ),
    "begun.json": (artifact_schemas.BEGUN, {"newest_id": 3}, lambda told: told["newest_id"] + 1),
    "prepared or failed": (
        artifact_schemas.NAMED,
        RESOURCE,
        lambda told: told["resource_id"].encode(),
    ),
}

OTHERS: tuple[Any, ...] = (
    *(None, True, False, [], {}, "", "x", 0, 3, -1, 1.5, 5e-324, 10**30, 10**400, 1e300),
    *([[]], [None], [3], [{}], {"x": 3}, {"before": 3}, "\udc80", "\0", "x" * 1000),
)


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each part of a value."""
    yield way
    parts: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        parts = enumerate(value)
    for name, part in parts:
        yield from places(part, (*way, name))


def changed(value: Any, way: tuple[Any, ...], put: Any) -> Any:
    """Return a copy with another part; without it, if the part is `...`."""
    if not way:
        return {} if put is ... else put
    new = copy.deepcopy(value)
    into = new
    for name in way[:-1]:
        into = into[name]
    if put is ...:
        del into[way[-1]]
    else:
        into[way[-1]] = put
    return new


def read(content: str, schema: Schema) -> Any:
    value = artifact_schemas.parse(content.encode())
    artifact_schemas.check(value, schema)
    return value


@pytest.mark.parametrize(("schema", "left", "take"), ARTIFACTS.values(), ids=ARTIFACTS)
def test_what_is_left_is_read(schema, left, take):
    take(read(json.dumps(left), schema))


@pytest.mark.parametrize(("schema", "left", "take"), ARTIFACTS.values(), ids=ARTIFACTS)
def test_whatever_passes_is_taken(schema, left, take):
    refused = []
    for way in list(places(left)):
        for put in (..., *OTHERS):
            content = json.dumps(changed(left, way, put))
            try:
                value = read(content, schema)
            except SchemaViolation as error:
                refused.append(str(error))
            else:
                take(value)
    assert len(refused) > 10
    assert not [message for message in refused if len(message.splitlines()) != 1]


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(("schema", "left", "take"), ARTIFACTS.values(), ids=ARTIFACTS)
@given(data=st.data())
def test_any_value_in_any_place(schema, left, take, data):
    way = data.draw(st.sampled_from(list(places(left))))
    try:
        value = read(json.dumps(changed(left, way, data.draw(TREES))), schema)
    except SchemaViolation:
        return
    take(value)


# name: content, what is wrong
NO_JSON = {
    "empty": (b"", "it is not JSON"),
    "cut off": (b'{"a": ', "it is not JSON"),
    "no text": (b"\xff\xfe\x00", "it is not JSON"),
    "NaN": (b'{"rows": NaN}', "it has NaN, which is no JSON"),
    "infinity": (b'{"rows": [-Infinity]}', "it has -Infinity, which is no JSON"),
    "too large": (b'{"rows": 1e999}', "it has a number that is too large"),
    "too many digits": (b"9" * 10_000, "it is not JSON"),
    "101 lists": (b"[" * 101 + b"]" * 101, "it is nested too deeply"),
    "lists": (b"[" * 100_000 + b"]" * 100_000, "it is nested too deeply"),
    "objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "it is nested too deeply"),
}


@pytest.mark.parametrize(("content", "wrong"), NO_JSON.values(), ids=NO_JSON)
def test_what_no_program_reads(content, wrong):
    with pytest.raises(SchemaViolation) as refused:
        artifact_schemas.parse(content)
    assert str(refused.value) == wrong


# name: schema, value, what is wrong
WRONG = {
    "no object": (artifact_schemas.PREPARED, [], "it is no JSON object"),
    "lacking": (artifact_schemas.BEGUN, {}, "it lacks newest_id"),
    "all lacking": (artifact_schemas.VALIDATION, {"valid": True}, "it lacks stats, tasks, errors"),
    "below": (artifact_schemas.NAMED, {"resource_id": 3}, "resource_id is no id"),
    "further below": (
        artifact_schemas.VALIDATION,
        VALIDATION | {"tasks": [{"errors": []}, {"errors": [FAULT, FAULT | {"type": 3}]}]},
        "tasks[1].errors[1].type is no text",
    ),
    "in a list": (artifact_schemas.RESOURCES, [{"resource_id": "r"}, 3], "[1] is no JSON object"),
    "a choice": (
        artifact_schemas.PREPARED,
        RESOURCE | {"aircan": RESOURCE["aircan"] | {"via": "x"}},
        "aircan.via is no copy or api",
    ),
}


@pytest.mark.parametrize(("schema", "value", "wrong"), WRONG.values(), ids=WRONG)
def test_the_place_is_told(schema, value, wrong):
    with pytest.raises(SchemaViolation) as refused:
        artifact_schemas.check(value, schema)
    assert str(refused.value) == wrong


LINES = [b'["a", "b"]\n', b'["1", null]\n', b'["", "x"]\n']


def test_rows_are_passed_as_they_are():
    assert list(artifact_schemas.rows(iter(LINES), ["a", "b"], 2)) == LINES


# name: lines, what is wrong
NO_ROWS = {
    "none": ([], "it has 0 rows, and the report tells of 2"),
    "other names": ([b'["b", "a"]\n', *LINES[1:]], "its first line is not that of the columns"),
    "no names": (LINES[1:], "its first line is not that of the columns"),
    "fewer": (LINES[:2], "it has 1 rows, and the report tells of 2"),
    "more": ([*LINES, LINES[1]], "it has 3 rows, and the report tells of 2"),
    "an object": ([*LINES[:2], b"{}\n"], "line 3 is no row of 2 cells"),
    "narrow": ([LINES[0], b'["1"]\n', LINES[2]], "line 2 is no row of 2 cells"),
    "numbers": ([LINES[0], b"[1, 2]\n", LINES[2]], "line 2 is no row of 2 cells"),
    "lists": ([LINES[0], b'[["1"], null]\n', LINES[2]], "line 2 is no row of 2 cells"),
    "null": ([LINES[0], b"null\n", LINES[2]], "line 2 is no row of 2 cells"),
    "NaN": ([LINES[0], b'["1", NaN]\n', LINES[2]], "it has NaN, which is no JSON"),
    "cut off": ([*LINES[:2], b'["", '], "it is not JSON"),
}


@pytest.mark.parametrize(("lines", "wrong"), NO_ROWS.values(), ids=NO_ROWS)
def test_what_are_no_rows(lines, wrong):
    with pytest.raises(SchemaViolation) as refused:
        list(artifact_schemas.rows(iter(lines), ["a", "b"], 2))
    assert str(refused.value) == wrong
