"""What a DagRun may be asked for."""

from __future__ import annotations

import json

import pytest

from loader import Options
from loader.errors import UsageError
from loader.factory import conf


def test_a_resource_as_an_object_or_as_text():
    resource = {"resource_id": "a", "path": "https://example.org/a.csv"}
    assert conf.read({"resource": resource}).resource == resource
    assert conf.read({"resource": json.dumps(resource)}).resource == resource


def test_a_resources_id_is_enough():
    assert conf.read({"resource": "0b6b-6f2e"}).resource == {"resource_id": "0b6b-6f2e"}


def test_what_the_form_leaves_empty():
    read = conf.read({"resource": "a", "options": None, "unique_keys": None})
    assert (read.options, read.unique_keys) == ({}, ())
    assert conf.of_many({"options": None}).options == {}


def test_what_is_left_out_is_as_it_is_by_default():
    read = conf.read({"resource": {"resource_id": "a"}, "job_id": None, "later": "unknown"})
    assert (read.mode, read.job_id, read.ckan_conn_id) == ("replace", None, "aircan_ckan")
    assert read == conf.Conf({"resource_id": "a"})


def test_no_database_is_none():
    read = conf.read({"resource": {"resource_id": "a"}, "datastore_conn_id": None})
    assert read.datastore_conn_id is None


@pytest.mark.parametrize(
    "resource", ["{", "[]", "a/b", {}, {"resource_id": 1}, {"path": "a.csv"}, None]
)
def test_a_resource_that_is_none(resource):
    with pytest.raises(UsageError, match="the conf's resource"):
        conf.read({"resource": resource})


def test_a_key_is_not_shown():
    assert "s3cr3t" not in repr(
        conf.read({"resource": {"resource_id": "a"}, "ckan_api_key": "s3cr3t"})
    )


def test_options_that_the_loader_knows():
    assert set(conf.LOAD["options"]["properties"]) <= set(Options.__dataclass_fields__)


@pytest.mark.parametrize("part", ["schema", "dialect"])
def test_json_text_whose_parts_are_no_objects_is_refused(part):
    text = json.dumps({"resource_id": "r", part: "/etc/passwd"})
    with pytest.raises(UsageError, match=f"the {part} of the conf's resource is not an object"):
        conf.read({"resource": text})
