"""The portals of these tests are what they say they are."""

import time

import psycopg
import pytest
import requests
from portal import POSTGRES, Portal, Refused

CSV = b"name,height_cm\nAda,165\nAlan,171.5\n"
FIELDS = [{"id": "name", "type": "text"}, {"id": "height_cm", "type": "numeric"}]
RECORDS = [{"name": "Ada", "height_cm": 165}, {"name": "Alan", "height_cm": 171.5}]


def table_of(portal: Portal, **resource) -> str:
    resource_id = portal.new_resource(**resource)["id"]
    portal.action(
        "datastore_create", resource_id=resource_id, fields=FIELDS, records=RECORDS, force=True
    )
    return resource_id


def test_ckan_and_postgres_are_of_the_versions_asked_for(portal: Portal) -> None:
    assert portal.action("status_show")["ckan_version"] == portal.version
    with psycopg.connect(portal.datastore_url) as connection:
        assert connection.info.server_version // 10000 == POSTGRES[portal.version]
        assert not connection.pgconn.error_message


def test_permissions_are_set_and_setting_them_again_is_clean(portal: Portal) -> None:
    assert portal.set_permissions() == ""
    with psycopg.connect(portal.datastore_url) as connection:
        (tables,) = connection.execute("SELECT to_regclass('_table_metadata')").fetchone()
        assert tables == "_table_metadata"
    resource_id = table_of(portal)
    with psycopg.connect(portal.read_url) as connection:
        (rows,) = connection.execute(f'SELECT count(*) FROM "{resource_id}"').fetchone()
        assert rows == len(RECORDS)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f'DELETE FROM "{resource_id}"')


def test_what_is_put_into_the_datastore_is_found_there(portal: Portal) -> None:
    found = portal.search(table_of(portal), q="Alan", sort="name desc")
    assert found["total"] == 1
    assert [record["name"] for record in found["records"]] == ["Alan"]


def test_an_uploaded_file_can_be_downloaded(portal: Portal) -> None:
    resource = portal.new_resource(upload=CSV, name="people.csv")
    assert resource["url_type"] == "upload"
    assert resource["url"].startswith(portal.url)
    assert requests.get(resource["url"], timeout=60).content == CSV


def test_a_private_file_needs_a_token(portal: Portal) -> None:
    url = portal.new_resource(upload=CSV, private=True)["url"]
    assert requests.get(url, timeout=60).content != CSV
    for token in (portal.token, portal.editor_token):
        answer = requests.get(url, headers={"Authorization": token}, timeout=60)
        assert answer.content == CSV


def test_an_editor_may_change_the_organisations_data_and_nobody_without_a_token(
    portal: Portal,
) -> None:
    resource_id = table_of(portal)
    rows = {"resource_id": resource_id, "records": [{"name": "Grace"}], "method": "insert"}
    portal.action("datastore_upsert", token=portal.editor_token, force=True, **rows)
    assert portal.search(resource_id)["total"] == len(RECORDS) + 1
    with pytest.raises(Refused) as refused:
        portal.action("datastore_upsert", token="", force=True, **rows)
    assert refused.value.status == 403


def test_a_table_has_default_views(portal: Portal) -> None:
    resource_id = table_of(portal)
    resource = portal.action("resource_show", id=resource_id)
    assert resource["datastore_active"] is True
    portal.action(
        "resource_create_default_resource_views", resource=resource, create_datastore_views=True
    )
    views = portal.action("resource_view_list", id=resource_id)
    assert "datatables_view" in [view["view_type"] for view in views]


def test_datasets_are_indexed_and_shown(portal: Portal) -> None:
    public, private = portal.new_dataset(title="Trees"), portal.new_dataset(private=True)
    everything = {"include_private": True, "rows": 1000}
    found = portal.action("package_search", **everything)
    assert {public["id"], private["id"]} <= {dataset["id"] for dataset in found["results"]}
    found = portal.action("package_search", token="", **everything)
    assert private["id"] not in {dataset["id"] for dataset in found["results"]}
    page = requests.get(f"{portal.url}/dataset/{public['name']}", timeout=60)
    assert page.ok
    assert "Trees" in page.text


def test_the_worker_does_the_background_jobs(portal: Portal) -> None:
    portal.ckan("jobs", "test")
    end = time.monotonic() + 60
    while portal.action("job_list"):
        assert time.monotonic() < end, portal.log("worker")
        time.sleep(0.1)


def test_the_worker_counts_rows_for_ckan_2_12(portal_212: Portal) -> None:
    resource_id = table_of(portal_212)
    row = {"records": [{"name": "Grace"}], "method": "insert", "force": True}
    row["calculate_record_count"] = "background"
    portal_212.action("datastore_upsert", resource_id=resource_id, **row)
    end = time.monotonic() + 60
    while portal_212.search(resource_id)["total"] != len(RECORDS) + 1:
        assert time.monotonic() < end, portal_212.log("worker")
        time.sleep(0.1)
