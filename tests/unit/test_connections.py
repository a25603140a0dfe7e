"""Airflow's Connections, as operators fill them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from loader.errors import UsageError
from loader.factory.connections import ckan_url, datastore_url


@dataclass
class Connection:
    conn_id: str = "it"
    conn_type: str | None = "http"
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = None
    schema: str | None = None
    extra_dejson: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"host": "https://demo.ckan.org"}, "https://demo.ckan.org"),
        ({"host": "https://demo.ckan.org/data/"}, "https://demo.ckan.org/data"),
        ({"host": "demo.ckan.org", "conn_type": "https"}, "https://demo.ckan.org"),
        ({"host": "demo.ckan.org", "schema": "https"}, "https://demo.ckan.org"),
        ({"host": "ckan", "port": 5000}, "http://ckan:5000"),
        ({"host": "http://ckan/data", "port": 5000}, "http://ckan:5000/data"),
        ({"host": "http://ckan:5000", "port": 5000}, "http://ckan:5000"),
        ({"host": "demo.ckan.org", "conn_type": "generic"}, "https://demo.ckan.org"),
    ],
)
def test_ckans_url(given, url):
    assert ckan_url(Connection(**given)) == url


def test_a_connection_without_a_host():
    with pytest.raises(UsageError, match="connection it has no host"):
        ckan_url(Connection())


NAMED = {"conn_type": "postgres", "host": "db", "schema": "datastore"}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({}, {"host": "db", "dbname": "datastore"}),
        ({"port": 5433, "login": "u"}, {"port": "5433", "user": "u"}),
        ({"login": "ü@/:?", "password": "p@:/?#% &"}, {"user": "ü@/:?", "password": "p@:/?#% &"}),
        ({"schema": "data store/ü?x"}, {"dbname": "data store/ü?x"}),
        ({"host": "/var/run/postgresql"}, {"host": "/var/run/postgresql"}),
        ({"extra_dejson": {"sslmode": "require", "cursor": "dict"}}, {"sslmode": "require"}),
    ],
)
def test_the_datastores_url(given, meant):
    found = conninfo_to_dict(datastore_url(Connection(**(NAMED | given))))
    assert {name: str(found[name]) for name in meant} == meant
    assert "cursor" not in found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"conn_type": "http"}, "is of type 'http'"),
        ({"schema": None}, "names no database"),
    ],
)
def test_a_connection_that_is_no_database(given, said):
    with pytest.raises(UsageError, match=said):
        datastore_url(Connection(**(NAMED | given)))
