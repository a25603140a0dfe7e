"""A portal's resources and tables as CKAN tells them, and what it knows after a load."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import requests
from loads import sql
from portal import Portal
from unsteady import Unsteady, refused

from loader.ckan import batches
from loader.ckan import client as module
from loader.ckan.client import Ckan
from loader.ckan.settings import CkanSettings
from loader.errors import CkanForbidden, CkanNotFound, CkanRefused
from loader.types.column import Column

CSV = b"name,height\nAda,165\n"
FIELDS = [{"id": "name", "type": "text"}, {"id": "height", "type": "numeric"}]
RECORDS = [{"name": "Ada", "height": "165"}]
SECRET = {"name": "private.csv", "private": True}


def connect(portal: Portal, token: str | None = None) -> Ckan:
    return Ckan(portal.url, portal.token if token is None else token)


def create(portal: Portal, resource_id: str, **more) -> None:
    portal.action("datastore_create", resource_id=resource_id, force=True, **more)


# Looking


def test_resources_and_datasets_are_ckans_own(portal: Portal):
    made = portal.new_resource(**SECRET)
    ckan = connect(portal)
    assert ckan.resource(made["id"]) == portal.action("resource_show", id=made["id"])
    dataset = ckan.dataset(made["package_id"])
    assert [resource["id"] for resource in dataset["resources"]] == [made["id"]]
    assert ckan.dataset(dataset["name"]) == dataset


def test_what_is_not_there_and_what_may_not_be_seen(portal: Portal):
    with pytest.raises(CkanNotFound):
        connect(portal).resource("no-such-resource")
    made = portal.new_resource(**SECRET)
    for token in ("", "no-token-of-this-ckan"):
        with pytest.raises((CkanForbidden, CkanNotFound)):
            connect(portal, token).dataset(made["package_id"])


def test_an_action_is_there_or_not(portal: Portal):
    for token in (portal.token, ""):
        assert connect(portal, token).has("datastore_create")
        assert not connect(portal, token).has("no_such_action")


def test_all_datasets_that_a_token_may_see_are_listed(portal: Portal, monkeypatch):
    monkeypatch.setattr(module, "DATASETS_AT_ONCE", 2)
    public = [portal.new_dataset()["id"] for _ in range(3)]
    private = [portal.new_dataset(private=True)["id"] for _ in range(2)]
    seen = [dataset["id"] for dataset in connect(portal).datasets()]
    assert len(set(seen)) == len(seen)
    assert {*public, *private} <= set(seen)
    without_token = {dataset["id"] for dataset in connect(portal, "").datasets()}
    assert set(public) <= without_token
    assert not set(private) & without_token


@pytest.mark.parametrize("named", ["127.0.0.1", "localhost"])
def test_a_private_upload_is_had_where_ckan_was_named(portal: Portal, named: str):
    made = portal.new_resource(upload=CSV, **SECRET)
    ckan = Ckan(portal.url.replace("127.0.0.1", named), portal.token)
    url = ckan.location(made)
    headers = ckan.headers_of(url, made["id"])
    assert url.startswith(f"http://{named}:")
    assert requests.get(url, headers=headers, timeout=60).content == CSV
    assert requests.get(url, timeout=60).content != CSV


# Tables


def test_a_table_is_told_in_the_types_of_sql(portal: Portal):
    resource_id = portal.new_resource()["id"]
    assert connect(portal).table(resource_id) is None
    kinds = ("text", "int8", "numeric", "bool", "date", "time", "timestamp", "timestamptz")
    info = {"label": "A label", "notes": "Some notes", "type_override": "text"}
    fields = [
        {"id": f"a {kind}", "type": kind} for kind in (*kinds, "JSON", "json", "numeric(4,1)")
    ]
    fields[0]["info"] = info
    alias = f"alias-{resource_id}"[:40]
    create(portal, resource_id, fields=fields, aliases=[alias], records=[{}, {}])
    table = connect(portal).table(resource_id)
    assert table.rows == 2
    assert table.aliases == (alias,)
    assert table.columns[0] == Column("a text", "text", info=info)
    assert [column.type for column in table.columns] == [
        "text",
        "bigint",
        "numeric",
        "boolean",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "json",
        "nested",
        "numeric(4,1)",
    ]


def relations(portal: Portal) -> dict[str, int]:
    return dict(sql(portal, "SELECT name, oid::bigint FROM _table_metadata"))


def test_the_database_of_the_datastore_is_known_by_its_tables(portal: Portal):
    resource_id = portal.new_resource()["id"]
    create(portal, resource_id, fields=FIELDS)
    ckan = connect(portal)
    known = relations(portal)
    assert resource_id in known
    assert ckan.shares_datastore(known) is True
    restored = {name: oid + 1_000_000 for name, oid in known.items()}
    assert ckan.shares_datastore(restored) is False
    assert ckan.shares_datastore({}) is False


def test_a_ckan_without_the_list_of_tables_leaves_it_open(portal_212: Portal):
    with Unsteady(portal_212.url, {"datastore_search": [refused(403)]}) as proxy:
        assert Ckan(proxy.url, portal_212.token).shares_datastore({"a": 1}) is None


@pytest.mark.parametrize(("tables", "shares"), [({}, True), ({"a": 1}, None), (None, None)])
def test_a_ckan_whose_datastore_is_empty(portal_212: Portal, tables, shares):
    def no_tables(handler: Any, _: object) -> None:
        nothing = b'{"success": true, "result": {"records": []}}'
        handler.answer(200, nothing, {"Content-Type": "application/json"})

    with Unsteady(portal_212.url, {"datastore_search": [no_tables]}) as proxy:
        assert Ckan(proxy.url, portal_212.token).shares_datastore(tables) is shares


def test_the_version(portal: Portal):
    assert portal.version.startswith("{}.{}.".format(*connect(portal).version()))


# Registering


def views(portal: Portal, resource_id: str) -> list[str]:
    return [view["view_type"] for view in portal.action("resource_view_list", id=resource_id)]


def copied(portal: Portal, resource_id: str) -> None:
    """Make a table of which CKAN has not been told."""
    create(portal, resource_id, fields=FIELDS, records=RECORDS)
    portal.action("resource_patch", id=resource_id, datastore_active=False)


def test_a_registered_resource_is_as_ckans_own_loader_leaves_it(portal: Portal):
    made = portal.new_resource(upload=CSV, url_type="upload")
    before = portal.action("resource_show", id=made["id"])
    copied(portal, made["id"])
    connect(portal).register(made["id"], "a-hash")
    after = portal.action("resource_show", id=made["id"])
    assert {key: after[key] for key in after if after[key] != before.get(key)} == {
        "datastore_active": True,
        "datastore_contains_all_records_of_source_file": True,
        "hash": "a-hash",
        "metadata_modified": after["metadata_modified"],
    }
    assert after["last_modified"]
    assert views(portal, made["id"]) == ["datatables_view"]
    assert portal.search(made["id"])["total"] == 1


def test_views_are_made_on_the_first_load_only(portal: Portal):
    resource_id = portal.new_resource()["id"]
    copied(portal, resource_id)
    connect(portal).register(resource_id, "first")
    for view in portal.action("resource_view_list", id=resource_id):
        portal.action("resource_view_delete", id=view["id"])
    connect(portal).register(resource_id, "second")
    assert views(portal, resource_id) == []
    connect(portal).withdraw(resource_id)
    connect(portal).register(resource_id, "third")
    assert views(portal, resource_id) == []
    assert connect(portal).resource(resource_id)["hash"] == "third"


def test_what_is_withdrawn_is_not_shown_and_not_skipped(portal: Portal):
    resource_id = portal.new_resource()["id"]
    copied(portal, resource_id)
    connect(portal).register(resource_id, "a-hash")
    before = connect(portal).resource(resource_id)
    connect(portal).withdraw(resource_id)
    after = connect(portal).resource(resource_id)
    assert (after["datastore_active"], after["hash"]) == (False, "")
    assert {after[key] == before[key] for key in ("url", "last_modified", "name")} == {True}


def test_an_editor_may_register_and_others_may_not(portal: Portal):
    resource_id = portal.new_resource()["id"]
    copied(portal, resource_id)
    with pytest.raises(CkanForbidden) as caught:
        connect(portal, "").register(resource_id, "a-hash")
    assert caught.value.option == "ckan_token"
    connect(portal, portal.editor_token).register(resource_id, "a-hash")
    assert connect(portal).resource(resource_id)["datastore_active"] is True


def test_what_ckan_finds_wrong_is_said(portal: Portal):
    with pytest.raises(CkanRefused, match='fields: "no_such_type" is not a valid field type'):
        connect(portal).call(
            "datastore_create",
            {
                "resource_id": portal.new_resource()["id"],
                "fields": [{"id": "a", "type": "no_such_type"}],
                "force": True,
            },
        )


def test_calls_are_repeated_while_a_portal_restarts(portal_212: Portal):
    made = portal_212.new_resource()
    faults = {"resource_show": [refused(503), refused(502)]}
    with Unsteady(portal_212.url, faults) as proxy:
        ckan = Ckan(proxy.url, portal_212.token, CkanSettings(backoff_s=0.01))
        assert ckan.resource(made["id"])["id"] == made["id"]
        assert len(proxy.made("resource_show")) == 3


# Both ways


def test_a_json_column_is_the_same_as_one_that_was_copied(portal: Portal):
    values = ['{"b": 1,  "a": [15.30, null]}', '"é"', "1.50"]
    sent, made = (portal.new_resource()["id"] for _ in range(2))
    batches.replace(connect(portal), sent, [Column("json", "json")], [[value] for value in values])
    create(portal, made, fields=[{"id": "json", "type": "JSON"}])
    statement = f'COPY "{made}" (json) FROM STDIN'
    with (
        psycopg.connect(portal.datastore_url) as connection,
        connection.cursor().copy(statement) as copy,
    ):
        for value in values:
            copy.write_row([value])
    table = 'SELECT _id, json::text, pg_typeof(json)::text, _full_text FROM "{}" ORDER BY 1'
    assert sql(portal, table.format(sent)) == sql(portal, table.format(made))
