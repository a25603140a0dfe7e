"""What CKAN and a conf say of a resource, as frictionless says it."""

from __future__ import annotations

import pytest
from frictionless import Resource

from loader.factory import descriptors

SHOWN = {"id": "0b6b", "package_id": "5d2c", "name": "Tree register, 2026", "format": "CSV"}
URL = "https://example.org/trees.csv"


def test_ckans_words_become_frictionlesss():
    assert descriptors.of_resource(SHOWN, {}, URL) == {
        "resource_id": "0b6b",
        "package_id": "5d2c",
        "title": "Tree register, 2026",
        "name": "tree-register-2026",
        "format": "csv",
        "path": URL,
    }


def test_what_the_conf_says_wins():
    given = {"resource_id": "0b6b", "format": "tsv", "encoding": "cp1252", "schema": None}
    schema = {"fields": [{"name": "a", "type": "integer"}]}
    told = descriptors.of_resource(SHOWN | {"schema": schema, "encoding": "utf-8"}, given, URL)
    assert (told["format"], told["encoding"], told["schema"]) == ("tsv", "cp1252", schema)


@pytest.mark.parametrize(
    ("size", "bytes_"), [(10, 10), ("10", 10), ("10 MB", None), (None, None), ("", None)]
)
def test_a_size_is_a_number_or_not_there(size, bytes_):
    told = descriptors.of_resource(SHOWN | {"size": size}, {}, URL)
    assert told.get("bytes") == bytes_
    Resource.from_descriptor(told)


@pytest.mark.parametrize("title", ["Überblick", "***", "\u6570\u636e", "a/b c"])
def test_every_title_makes_a_name(title):
    told = descriptors.of_resource(SHOWN | {"name": title}, {}, URL)
    Resource.from_descriptor(told)
    assert told["title"] == title


def test_no_secret_of_a_url():
    told = descriptors.of_resource(SHOWN, {"path": f"{URL}?token=s3cr3t"}, f"{URL}?token=s3cr3t")
    assert "s3cr3t" not in str(told)


@pytest.mark.parametrize("name", ["url", "homepage", "sources", "extrapaths", "title", "name"])
def test_no_secret_of_any_url_in_it(name):
    secret = f"{URL}?token=s3cr3t"
    given = {"sources": [{"path": secret}], "extrapaths": [secret]}.get(name, secret)
    told = descriptors.of_resource(SHOWN | {"description": f"See {secret}."}, {name: given}, URL)
    dataset = descriptors.of_dataset({"id": "5d2c", "notes": f"From {secret}"}, told)
    assert "s3cr3t" not in str(told) + str(dataset)
    assert "example.org" in str(told["description"])


def test_a_dataset_has_the_resource():
    resource = descriptors.of_resource(SHOWN, {}, URL)
    shown = {"id": "5d2c", "name": "trees", "title": "Trees", "notes": "All of them", "x": 1}
    assert descriptors.of_dataset(shown, resource) == {
        "id": "5d2c",
        "name": "trees",
        "title": "Trees",
        "description": "All of them",
        "resources": [resource],
    }
