"""What a DagRun may be asked for."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from loader import Options
from loader.errors import UsageError
from loader.factory import conf, on_airflow
from loader.net.limits import Limits


def nested(levels: int) -> list[object]:
    return [nested(levels - 1)] if levels else []


def test_a_resource_as_an_object_or_as_text():
    resource = {"resource_id": "a", "path": "https://example.org/a.csv"}
    assert conf.read({"resource": resource}).resource == resource
    assert conf.read({"resource": json.dumps(resource)}).resource == resource


def test_a_resources_id_is_enough():
    assert conf.read({"resource": "0b6b-6f2e"}).resource == {"resource_id": "0b6b-6f2e"}


def test_what_the_form_leaves_empty():
    read = conf.read({"resource": "a", "options": None, "unique_keys": None})
    assert (read.options, read.unique_keys) == ({}, ())
    assert conf.read_without_resource({"options": None}).options == {}


def test_what_is_left_out_is_as_it_is_by_default():
    read = conf.read({"resource": {"resource_id": "a"}, "job_id": None, "later": "unknown"})
    assert (read.mode, read.job_id, read.ckan_conn_id) == ("replace", None, "aircan_ckan")
    assert read == conf.Conf({"resource_id": "a"})


def test_no_database_is_none():
    read = conf.read({"resource": {"resource_id": "a"}, "datastore_conn_id": None})
    assert read.datastore_conn_id is None


@pytest.mark.parametrize(
    "resource",
    [
        "{",
        "[]",
        "a/b",
        "abc\n",
        {},
        {"resource_id": 1},
        {"resource_id": "abc\n"},
        {"resource_id": "a/b"},
        '{"resource_id": "a\\n"}',
        {"path": "a.csv"},
        None,
        "[" * 100_000,
        '{"resource_id": "a", "schema": ' + "[" * 1000 + "]" * 1000 + "}",
        {"resource_id": "a", "schema": {"x": nested(60)}},
    ],
    ids=range(14),
)
def test_a_resource_that_is_none(resource):
    with pytest.raises(UsageError, match="the conf's resource"):
        conf.read({"resource": resource})


def test_a_key_is_not_shown():
    assert "s3cr3t" not in repr(
        conf.read({"resource": {"resource_id": "a"}, "ckan_api_key": "s3cr3t"})
    )


def test_options_that_the_loader_knows():
    known = set(Options.__dataclass_fields__) | {"max_bytes", "max_ratio", "min_rate"}
    assert set(conf.LOAD["options"]["properties"]) <= known


# of the environment: the limits
BOUNDS = {
    "none": ({}, Limits()),
    "bytes": ({"AIRCAN_MAX_BYTES": "50GB"}, Limits(max_bytes=50 * 10**9)),
    "ratio": ({"AIRCAN_MAX_RATIO": " 30 "}, Limits(max_ratio=30, max_dense_ratio=30)),
    "rate": ({"AIRCAN_MIN_RATE": "0"}, Limits(min_rate=0)),
}


@pytest.mark.parametrize(("environment", "limits"), BOUNDS.values(), ids=BOUNDS)
def test_the_operators_set_the_limits(environment, limits, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert on_airflow.settings("aircan_load").limits == limits


def test_what_the_loader_chooses_from_the_conf_does_too():
    for name, option in conf.LOAD["options"]["properties"].items():
        for value in option.get("enum", ()):
            assert getattr(Options(**{name: value}), name) == value
    choices = {"warn", "keep", "refuse"}
    assert set(conf.LOAD["options"]["properties"]["on_concurrent_writes"]["enum"]) == choices


@pytest.mark.parametrize("part", ["schema", "dialect"])
def test_json_text_whose_parts_are_no_objects_is_refused(part):
    text = json.dumps({"resource_id": "r", part: "/etc/passwd"})
    with pytest.raises(UsageError, match=f"the {part} of the conf's resource is not an object"):
        conf.read({"resource": text})


def test_every_option_that_a_conf_has_is_named_as_it_has_it():
    assert conf.named("encoding") == "options.encoding"
    assert conf.named("key") == "unique_keys"
    assert conf.named("lanes") is None
    assert conf.named(None) is None
    names = {conf.named(field.name) for field in fields(Options)} - {None}
    assert {name.split(".")[0] for name in names} <= set(conf.LOAD)
