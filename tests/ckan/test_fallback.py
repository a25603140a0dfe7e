"""Without the database the same rows go through CKAN's API."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
from loads import load_text, rows, settings, sql
from portal import PASSWORD, Portal
from test_swap import AtStep
from unsteady import Unsteady, count_refused

from loader import Options, errors, load
from loader.ckan.settings import BatchSettings
from loader.pipeline import separate
from loader.pipeline.load import choose_via

VARIED = (
    "text,whole,long,number,flag,day,moment,zoned,clock,object,list,empty\n"
    "Straße,1,12345678901234567890,15.30,true,2020-02-29,2020-02-29T23:59:59,"
    '2020-02-29T23:59:59+02:00,23:59:59,"{""a"": [1, 2.50]}","[1, ""x""]",\n'
    '"",,,,,,,,,,,\n'
    '"",2,7,0.000000000000000000001,false,1999-01-01,1999-01-01 00:00:00.5,'
    "1999-01-01T00:00:00Z,00:00:00,{},[],\n"
    '"line\nbreak, ""quoted"" \\N %s :x",-3,-1,-0.5,true,0001-01-01,0001-01-01T00:00:00,'
    '1970-01-01T00:00:00-08:00,12:00:00,"{""ü"": null}","[null]",\n'
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def types(portal: Portal, resource_id: str) -> list[tuple[str, str]]:
    return sql(
        portal,
        "SELECT attname, atttypid::regtype::text FROM pg_attribute"
        " WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 ORDER BY attnum",
        resource_id,
    )


@pytest.mark.parametrize("via", ["copy", "api"])
def test_one_line_empties_no_table_that_has_other_columns(portal: Portal, tmp_path: Path, via: str):
    resource_id = portal.new_resource()["id"]
    load_text(portal, resource_id, "id,name\n1,x\n", tmp_path, via=via)
    with pytest.raises(errors.NoRows, match="0 are columns of the table"):
        load_text(portal, resource_id, "Error, file not found\n", tmp_path, via=via)
    assert rows(portal, resource_id) == [("1", "x")]
    load_text(portal, resource_id, "name,id\n", tmp_path, via=via)
    assert rows(portal, resource_id) == []


def test_a_file_loaded_both_ways_gives_equal_tables(portal: Portal, tmp_path: Path):
    copied, sent = (portal.new_resource()["id"] for _ in range(2))
    by_copy = load_text(portal, copied, VARIED, tmp_path, via="copy")
    by_api = load_text(portal, sent, VARIED, tmp_path, via="api", batches=BatchSettings(rows=3))
    assert (by_copy.via, by_api.via) == ("copy", "api")
    assert by_copy.columns == by_api.columns
    assert by_copy.rows == by_api.rows == 4
    assert types(portal, copied) == types(portal, sent)
    assert rows(portal, copied) == rows(portal, sent)
    # Of a row without words the trigger makes NULL.
    lexemes = """SELECT _id, coalesce(strip(_full_text)::text, '') FROM "{}" ORDER BY _id"""
    assert sql(portal, lexemes.format(copied)) == sql(portal, lexemes.format(sent))
    for resource_id in (copied, sent):
        shown = portal.action("resource_show", id=resource_id)
        assert shown["datastore_active"] is True
        assert shown["datastore_contains_all_records_of_source_file"] is True
        assert portal.search(resource_id)["total"] == 4


def test_without_a_datastore_url_the_api_is_taken(portal_212: Portal, tmp_path: Path):
    resource_id = portal_212.new_resource()["id"]
    report = load_text_without_database(portal_212, resource_id, tmp_path, None)
    assert report.via == "api"
    assert report.warnings == [
        "loaded through CKAN's API, since the DataStore's database is not named"
    ]
    assert portal_212.search(resource_id)["total"] == 1
    report = load_text_without_database(portal_212, resource_id, tmp_path, None, via="api")
    assert report.warnings == []


# An import of either fails.
WITHOUT_A_DATABASE = (
    "import sys; sys.modules |= {'psycopg': None, 'sqlalchemy': None};"
    " from loader.cli.commands import main; main()"
)


@pytest.mark.parametrize("mode", ["replace", "append", "upsert"])
def test_the_api_needs_no_psycopg(portal_212: Portal, tmp_path: Path, mode: str):
    resource_id = portal_212.new_resource()["id"]
    (tmp_path / "data.csv").write_text("a,b\n1,x\n2,y\n")
    arguments = ["load", "data.csv", "--via", "api", "--resource-id", resource_id, "--mode", mode]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            WITHOUT_A_DATABASE,
            *arguments,
            *(["--key", "a"] * (mode != "append")),
        ],
        env={**os.environ, **portal_212.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert portal_212.search(resource_id)["total"] == 2


def load_text_without_database(
    portal: Portal, resource_id: str, folder: Path, url: str | None, **options
):
    path = folder / "data.csv"
    path.write_text("a,b\n1,2\n")
    given = settings(portal) | {"datastore_url": url}
    return load(path, **given, resource_id=resource_id, **options)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ckan_default:", "nobody_here:", 'role "nobody_here" does not exist'),
        ("ckan_default:", "datastore_default:", "datastore_default"),
    ],
    ids=["unknown user", "lacks rights"],
)
def test_a_database_that_cannot_be_used_is_gone_round_and_named(
    portal_212: Portal, tmp_path: Path, old: str, new: str, said: str
):
    resource_id = portal_212.new_resource()["id"]
    url = portal_212.datastore_url.replace(old, new)
    assert url != portal_212.datastore_url
    report = load_text_without_database(portal_212, resource_id, tmp_path, url)
    assert report.via == "api"
    [reason] = [warning for warning in report.warnings if "API" in warning]
    assert said in reason
    assert PASSWORD not in reason
    assert portal_212.search(resource_id)["total"] == 1
    with pytest.raises(errors.DatabaseError):
        load_text_without_database(portal_212, resource_id, tmp_path, url, via="copy")


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("port=5432", "port=5999", errors.DatabaseUnreachable),
        ("ckan_default:", "without_connections:", errors.DatabaseFull),
    ],
    ids=["unreachable", "no connection left"],
)
@pytest.mark.parametrize("old_rows", [True, False], ids=["with old rows", "the first load"])
def test_a_fault_that_may_pass_is_no_reason_to_take_the_api(
    portal_212: Portal, tmp_path: Path, old: str, new: str, kind: type, old_rows: bool
):
    resource_id = portal_212.new_resource()["id"]
    if old_rows:
        load_text(portal_212, resource_id, "a,b\n1,x\n", tmp_path)
    with psycopg.connect(portal_212.admin_url, autocommit=True) as connection:
        connection.execute(
            "DROP ROLE IF EXISTS without_connections; CREATE ROLE without_connections LOGIN"
            f" PASSWORD '{PASSWORD}' CONNECTION LIMIT 0"
        )
    url = portal_212.datastore_url.replace(old, new)
    assert url != portal_212.datastore_url
    with pytest.raises(kind) as refused:
        load_text_without_database(portal_212, resource_id, tmp_path, url)
    assert refused.value.retryable
    assert refused.value.option == "via"
    with pytest.raises(kind):
        choose_via(Options(resource_id, ckan_url=portal_212.url, ckan_token="-", datastore_url=url))
    if old_rows:
        assert rows(portal_212, resource_id) == [("1", "x")]
    assert portal_212.action("resource_show", id=resource_id)["datastore_active"] is old_rows
    # Who wants the API takes it.
    report = load_text_without_database(portal_212, resource_id, tmp_path, url, via="api")
    assert (report.via, report.rows) == ("api", 1)


def test_the_datastore_of_another_ckan_is_noticed(
    portal_212: Portal, portal_211: Portal, tmp_path: Path
):
    for one in (portal_212, portal_211):
        load_text(one, one.new_resource()["id"], "a\n1\n", tmp_path)
    resource_id = portal_212.new_resource()["id"]
    with pytest.raises(errors.AircanError, match="DataStore"):
        load_text_without_database(portal_212, resource_id, tmp_path, portal_211.datastore_url)


# name: text, error
UNLOADABLE = {
    "a quote that is never closed": ('a,b\n2,y\n3,"z\n', errors.UnclosedQuote),
    "no row that can be placed": ("a,b\n2,y,z\n3,z,y\n", errors.TooManyBadRows),
    "all rows in the header": ('a,"b\n2,y\n3,z"\n', errors.NoRows),
}


@pytest.mark.parametrize(("text", "error"), UNLOADABLE.values(), ids=UNLOADABLE)
def test_the_file_is_checked_before_the_old_rows_go(
    portal_212: Portal, tmp_path: Path, text: str, error: type[errors.AircanError]
):
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, "a,b\n1,x\n", tmp_path, via="api")
    with pytest.raises(error):
        load_text(portal_212, resource_id, text, tmp_path, via="api")
    assert rows(portal_212, resource_id) == [("1", "x")]


def test_a_dictionary_survives_the_api_too(portal_212: Portal, tmp_path: Path):
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, "a,b\n1,x\n", tmp_path, via="api")
    fields = [
        {"id": "a", "type": "numeric", "info": {"label": "Zahl", "type_override": "text"}},
        {"id": "b", "type": "text"},
    ]
    portal_212.action("datastore_create", resource_id=resource_id, force=True, fields=fields)
    load_text(portal_212, resource_id, "a,b,c\n1,x,2\n", tmp_path, via="api")
    found = portal_212.action("datastore_info", id=resource_id)["fields"]
    # CKAN cannot change a type: the column is made anew, and comes last.
    assert [(field["id"], field["type"]) for field in found] == [
        ("b", "text"),
        ("c", "int8"),
        ("a", "text"),
    ]
    assert found[2]["info"] == {"label": "Zahl", "type_override": "text"}


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_the_modes_work_through_the_api(portal: Portal, tmp_path: Path, mode: str):
    resource_id = portal.new_resource()["id"]
    load_text(portal, resource_id, "id,b\n1,x\n2,y\n", tmp_path, key=["id"])
    key = ["id"] if mode == "upsert" else []
    load_text(portal, resource_id, "id,b\n3,z\n", tmp_path, via="api", mode=mode, key=key)
    assert rows(portal, resource_id) == [("1", "x"), ("2", "y"), ("3", "z")]


def test_a_key_is_made_and_kept_through_the_api(portal_212: Portal, tmp_path: Path):
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, "id,b\n1,x\n2,y\n", tmp_path, via="api", key=["id"])
    load_text(portal_212, resource_id, "id,b\n2,z\n", tmp_path, mode="upsert")
    assert rows(portal_212, resource_id) == [("1", "x"), ("2", "z")]
    with pytest.raises(errors.AircanError) as caught:
        load_text(portal_212, resource_id, "id,b\n1,x\n1,y\n", tmp_path, via="api")
    assert "the old rows are gone" in (caught.value.hint or "")
    assert portal_212.action("resource_show", id=resource_id)["datastore_active"] is False


def test_the_last_row_of_a_key_wins_through_the_api_too(portal: Portal, tmp_path: Path):
    twice = "id,b\n1.0,x\n2,y\n1.00,z\n"
    options = {"mode": "upsert", "key": ["id"], "via": "api"}
    resource_id = portal.new_resource()["id"]
    report = load_text(portal, resource_id, twice, tmp_path, **options)
    assert rows(portal, resource_id) == [("2", "y"), ("1.00", "z")]
    assert report.rows == 2
    assert "rows with the key of a later row, left out: 1" in report.warnings
    report = load_text(portal, resource_id, "id,b\n3,a\n3.0,b\n3,c\n", tmp_path, **options)
    assert rows(portal, resource_id) == [("2", "y"), ("1.00", "z"), ("3", "c")]
    assert report.rows == 1
    assert "rows with the key of a later row, left out: 2" in report.warnings


def test_a_row_without_a_key_is_refused_before_anything_is_sent(portal_212: Portal, tmp_path: Path):
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, "id,b\n1,x\n", tmp_path, key=["id"])
    for via in ("api", "copy"):
        options = {"mode": "upsert", "key": ["id"], "via": via}
        with pytest.raises(errors.KeyViolated, match="the row with _id 2 has no value") as caught:
            load_text(portal_212, resource_id, "id,b\n3,y\n,z\n", tmp_path, **options)
        assert caught.value.column == "id"
        assert rows(portal_212, resource_id) == [("1", "x")]


def test_a_key_that_is_not_unique_costs_no_row(portal_212: Portal, tmp_path: Path):
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, "id,b\n1,x\n", tmp_path, via="api")
    for via in ("api", "copy"):
        with pytest.raises(errors.KeyViolated, match=r"the key \(id\) is not unique in the file"):
            load_text(portal_212, resource_id, "id,b\n2,y\n2,z\n", tmp_path, via=via, key=["id"])
        assert rows(portal_212, resource_id) == [("1", "x")]


def test_views_are_created_on_the_first_load_through_the_api_too(portal: Portal, tmp_path: Path):
    resource_id = portal.new_resource()["id"]
    path = tmp_path / "data.csv"
    path.write_text("a\n1\n", encoding="utf-8")
    with Unsteady(portal.url) as front:
        front.faults["datastore_upsert"] = [count_refused] * 9
        given = settings(portal) | {"ckan_url": front.url, "resource_id": resource_id}
        with pytest.raises(errors.CkanRefused):
            load(path, **given, via="api")
    assert portal.action("resource_view_list", id=resource_id) == []
    for _ in range(2):
        load_text(portal, resource_id, "a\n1\n", tmp_path, via="api")
        views = portal.action("resource_view_list", id=resource_id)
        assert [view["view_type"] for view in views] == ["datatables_view"]


def test_nothing_is_added_to_a_column_that_the_api_would_change(portal_212: Portal, tmp_path: Path):
    resource_id = portal_212.new_resource()["id"]
    fields = [{"id": "a", "type": "json"}]
    portal_212.action("datastore_create", resource_id=resource_id, fields=fields, force=True)
    content = 'a\n"{""b"": 15.30}"\n'
    with pytest.raises(errors.SchemaDiffers, match="'a' is of CKAN's own type json"):
        load_text(portal_212, resource_id, content, tmp_path, mode="append", via="api")
    load_text(portal_212, resource_id, content, tmp_path, mode="append", via="copy")
    [(stored,)] = sql(portal_212, f'SELECT (a).json::text FROM "{resource_id}"')
    assert stored == '{"b": 15.30}'


# type: a value that it holds, and one that it would change
LIMITED = {
    "numeric(4,1)": ("123.40", "0.25"),
    "float4": ("0.1", "0.123456789"),
    "float8": ("0.1", "0.12345678901234567890"),
    "int2": ("-32768", "32768"),
    "varchar(3)": ("Ätt", "Ätt "),
    "timestamp(1)": ("2020-01-01 00:00:00.50", "2020-01-01 00:00:00.25"),
}


@pytest.mark.parametrize("kind", LIMITED)
@pytest.mark.parametrize("via", ["api", "copy"])
def test_a_value_that_the_tables_type_would_change_is_refused(
    portal_212: Portal, tmp_path: Path, kind: str, via: str
):
    held, changed = LIMITED[kind]
    resource_id = portal_212.new_resource()["id"]
    fields = [{"id": "a", "type": kind}]
    portal_212.action("datastore_create", resource_id=resource_id, fields=fields, force=True)
    load_text(portal_212, resource_id, f"a\n{held}\n", tmp_path, mode="append", via=via)
    before = rows(portal_212, resource_id)
    assert len(before) == 1
    content = f"a\n{held}\n{changed}\n"
    with pytest.raises(errors.ValueDoesNotFit, match="does not fit the table's type") as caught:
        load_text(portal_212, resource_id, content, tmp_path, mode="append", via=via)
    assert (caught.value.column, caught.value.value) == ("a", changed)
    assert rows(portal_212, resource_id) == before


def test_through_the_api_an_upsert_has_to_name_its_key(portal_212: Portal, tmp_path: Path):
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, "id,b\n1,x\n", tmp_path, key=["id"])
    with pytest.raises(errors.UsageError, match="unique key"):
        load_text(portal_212, resource_id, "id,b\n1,y\n", tmp_path, via="api", mode="upsert")


def test_the_database_has_to_be_named_where_nothing_else_will_do(
    portal_212: Portal, tmp_path: Path
):
    resource_id = portal_212.new_resource()["id"]
    with pytest.raises(errors.UsageError, match="DataStore is not named"):
        load_text_without_database(portal_212, resource_id, tmp_path, None, via="copy")


def test_who_may_not_edit_the_resource_is_told_before_anything_is_read(
    portal: Portal, tmp_path: Path
):
    resource_id = portal.new_resource()["id"]
    name = f"reader-{resource_id[:8]}"
    account = {"name": name, "email": f"{name}@example.org", "password": PASSWORD}
    portal.action("user_create", **account)
    for token in (None, portal.action("api_token_create", user=name, name="t")["token"]):
        with pytest.raises(errors.CkanForbidden):
            load(
                tmp_path / "no such file.csv",
                **settings(portal) | {"ckan_token": token},
                resource_id=resource_id,
            )


def test_no_room_for_the_rows_that_wait(portal_212: Portal, tmp_path: Path, monkeypatch):
    resource_id = portal_212.new_resource()["id"]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(errors.SourceError, match="temporary file") as caught:
        load_text_without_database(portal_212, resource_id, tmp_path, None)
    assert "TMPDIR" in (caught.value.hint or "")


def test_the_api_needs_a_ckan(tmp_path: Path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(errors.UsageError, match="no CKAN"):
        load(tmp_path / "a.csv", resource_id="a", via="api")


def test_a_ckan_needs_a_resource(portal_212: Portal, tmp_path: Path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(errors.UsageError, match="resource's id"):
        load(tmp_path / "a.csv", **settings(portal_212))


@pytest.mark.parametrize("policy", ["warn", "keep", "refuse"])
def test_rows_that_others_insert_before_the_old_ones_go(
    portal: Portal, tmp_path: Path, policy: str
):
    """All that the API can tell of cheaply: how many rows there were, and are now."""
    resource_id = portal.new_resource()["id"]
    load_text(portal, resource_id, "a,b\n1,x\n", tmp_path, via="api")
    records = [{"a": "2", "b": "theirs"}, {"a": "3", "b": "theirs"}]

    def insert() -> None:
        data = {"resource_id": resource_id, "method": "insert", "records": records}
        portal.action("datastore_upsert", force=True, **data)

    given = {"via": "api", "on_concurrent_writes": policy}
    progress = AtStep("sending the rows to CKAN", insert)
    if policy == "warn":
        report = load_text(portal, resource_id, "a,b\n4,y\n", tmp_path, progress=progress, **given)
        said = "others changed the old table during the load: 2 rows inserted"
        assert said in report.warnings
        assert rows(portal, resource_id) == [("4", "y")]
    else:
        with pytest.raises(errors.TableChanged, match="2 rows inserted"):
            load_text(portal, resource_id, "a,b\n4,y\n", tmp_path, progress=progress, **given)
        assert len(rows(portal, resource_id)) == 3


@pytest.mark.parametrize("step", ["reading the header", "copying rows"])
@pytest.mark.parametrize("count", [1, 200])
def test_rows_that_others_insert_while_rows_are_written_down(
    portal_212: Portal, tmp_path: Path, step: str, count: int
):
    resource_id = portal_212.new_resource()["id"]
    load_text(portal_212, resource_id, "a,b\n1,x\n", tmp_path, via="api")
    records = [{"a": str(i), "b": "theirs"} for i in range(count)]

    def insert() -> None:
        data = {"resource_id": resource_id, "method": "insert", "records": records}
        portal_212.action("datastore_upsert", force=True, **data)

    given = settings(portal_212) | {"via": "api", "on_concurrent_writes": "refuse"}
    options = Options(**given, resource_id=resource_id)
    written = io.BytesIO()
    converted = separate.convert(tmp_path / "data.csv", written, options, AtStep(step, insert))
    written.seek(0)
    with pytest.raises(errors.TableChanged, match=f"{count} rows inserted"):
        separate.send(written, converted, options)
    assert len(rows(portal_212, resource_id)) == 1 + count


SHAPES = {
    "dropped": 'ALTER TABLE "{}" DROP b',
    "renamed": 'ALTER TABLE "{}" RENAME b TO c',
    "of another type": 'ALTER TABLE "{}" ALTER b TYPE varchar(40)',
    "added": 'ALTER TABLE "{}" ADD c text',
}


@pytest.mark.parametrize("change", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_columns_that_change_before_rows_are_added(
    portal: Portal, tmp_path: Path, mode: str, change: str
):
    resource_id = portal.new_resource()["id"]
    load_text(portal, resource_id, "a,b\n1,x\n", tmp_path, key=["a"])
    key = ["a"] if mode == "upsert" else []
    progress = AtStep("sending the rows to CKAN", lambda: sql(portal, change.format(resource_id)))
    with pytest.raises(errors.SchemaDiffers, match="have changed during the load"):
        load_text(
            portal,
            resource_id,
            "a,b\n2,y\n",
            tmp_path,
            via="api",
            mode=mode,
            key=key,
            progress=progress,
        )
    assert [row[0] for row in rows(portal, resource_id)] == ["1"]
