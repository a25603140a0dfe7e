"""What publishers and operators have put on a table is there after a reload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from loads import load_text, rows, sql
from portal import Portal

from loader import errors

OLD = "tree,height,planted\nLinde,12,2001-04-01\nEiche,20,1999-11-30\n"
NEW = (
    "tree,height,planted,remark\n"
    "Ulme,7,2020-01-05,young\nLinde,13,2001-04-01,\nEiche,21,1999-11-30,\n"
)


class At:
    """Progress that does something when a step begins."""

    def __init__(self, step: str, action: Callable[[], object]) -> None:
        self._step = step
        self._action = action

    def begin(self, title: str) -> None:
        if title == self._step:
            self._action()

    def expect(self, size: int | None) -> None:
        pass

    def advance(self, bytes_read: int, rows: int) -> None:
        pass


@pytest.fixture
def trees(portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A resource whose table was loaded once; its id."""
    monkeypatch.chdir(tmp_path)
    resource_id = portal.new_resource()["id"]
    load_text(portal, resource_id, OLD, tmp_path)
    return resource_id


def dictionary(portal: Portal, resource_id: str) -> dict[str, Any]:
    fields = portal.action("datastore_info", id=resource_id)["fields"]
    return {field["id"]: field.get("info", {}) for field in fields}


def edit(portal: Portal, resource_id: str, **infos: dict[str, str]) -> None:
    """Save the Data Dictionary, as its form does."""
    fields = portal.action("datastore_info", id=resource_id)["fields"]
    saved = [
        {"id": field["id"], "type": field["type"], "info": infos.get(field["id"], {})}
        for field in fields
    ]
    portal.action("datastore_create", resource_id=resource_id, force=True, fields=saved)


def test_labels_and_notes(portal: Portal, trees: str, tmp_path: Path):
    labels = {"label": "Höhe in m", "notes": "measured, not 'estimated'; 100 % of them"}
    edit(portal, trees, height=labels)
    load_text(portal, trees, NEW, tmp_path)
    found = dictionary(portal, trees)
    assert found["height"] == {**found["height"], **labels}
    assert list(found) == ["tree", "height", "planted", "remark"]


def test_what_is_edited_while_the_load_runs(portal: Portal, trees: str, tmp_path: Path):
    late = At("analysing the table", lambda: edit(portal, trees, tree={"label": "Baumart"}))
    load_text(portal, trees, NEW, tmp_path, progress=late)
    assert dictionary(portal, trees)["tree"]["label"] == "Baumart"
    assert portal.search(trees)["total"] == 3


def test_what_other_plugins_keep_in_the_dictionary(portal: Portal, trees: str, tmp_path: Path):
    comment = ' {"_info":{"label":"Baum"},"tabledesigner":{"tdtype":"text","required":true}}'
    sql(portal, f"COMMENT ON COLUMN \"{trees}\".tree IS '{comment}'")
    load_text(portal, trees, NEW, tmp_path)
    raw = "SELECT col_description(to_regclass(quote_ident(%s)), attnum) FROM pg_attribute"
    found = sql(
        portal,
        f"{raw} WHERE attrelid = to_regclass(quote_ident(%s)) AND attname = 'tree'",
        trees,
        trees,
    )
    assert found == [(comment,)]


def test_aliases_show_the_new_rows_and_columns(portal: Portal, trees: str, tmp_path: Path):
    alias = f"trees-{trees[:8]}"
    portal.action("datastore_create", resource_id=trees, force=True, aliases=[alias])
    load_text(portal, trees, NEW, tmp_path)
    assert portal.search(alias)["records"] == portal.search(trees)["records"]
    assert portal.search(alias, q="young")["records"][0]["remark"] == "young"
    assert portal.action("datastore_info", id=alias)["meta"]["aliases"] == [alias]


def test_indexes_and_unique_keys(portal: Portal, trees: str, tmp_path: Path):
    portal.action(
        "datastore_create", resource_id=trees, force=True, primary_key=["tree"], indexes=["height"]
    )
    names = "SELECT indexrelid::regclass::text, indisunique FROM pg_index WHERE indrelid"
    before = sql(portal, f"{names} = to_regclass(quote_ident(%s)) ORDER BY 1", trees)
    load_text(portal, trees, NEW, tmp_path)
    assert sql(portal, f"{names} = to_regclass(quote_ident(%s)) ORDER BY 1", trees) == before
    portal.action(
        "datastore_upsert",
        resource_id=trees,
        force=True,
        method="upsert",
        records=[{"tree": "Ulme", "height": 8}],
    )
    found = portal.search(trees, filters={"tree": "Ulme"})["records"]
    assert [record["height"] for record in found] == [8]


def test_rows_that_break_the_unique_key_do_not_replace_the_table(
    portal: Portal, trees: str, tmp_path: Path
):
    portal.action("datastore_create", resource_id=trees, force=True, primary_key=["tree"])
    with pytest.raises(errors.KeyViolated, match="Linde"):
        load_text(portal, trees, "tree,height,planted\nLinde,1,\nLinde,2,\n", tmp_path)
    assert portal.search(trees)["total"] == 2


def test_triggers_act_on_what_is_loaded_and_on_what_comes_later(
    portal: Portal, trees: str, tmp_path: Path
):
    function = f"shout_{trees[:8]}"
    portal.action(
        "datastore_function_create",
        name=function,
        or_replace=True,
        rettype="trigger",
        definition="BEGIN NEW.tree := upper(NEW.tree); RETURN NEW; END;",
    )
    portal.action(
        "datastore_create", resource_id=trees, force=True, triggers=[{"function": function}]
    )
    load_text(portal, trees, NEW, tmp_path)
    assert [row[0] for row in rows(portal, trees)] == ["ULME", "LINDE", "EICHE"]
    assert portal.search(trees, q="ulme")["total"] == 1
    portal.action(
        "datastore_upsert",
        resource_id=trees,
        force=True,
        method="insert",
        records=[{"tree": "Esche", "height": 3}],
    )
    assert rows(portal, trees)[-1][0] == "ESCHE"


def test_privileges(portal: Portal, trees: str, tmp_path: Path):
    role = f"analyst_{portal.version.replace('.', '_')}"
    sql_admin(portal, f"DROP ROLE IF EXISTS {role}")
    sql_admin(portal, f"CREATE ROLE {role}")
    sql(portal, f'GRANT SELECT, UPDATE ON "{trees}" TO {role}')
    load_text(portal, trees, NEW, tmp_path)
    has = "SELECT has_table_privilege(%s, quote_ident(%s), %s)"
    granted = [
        sql(portal, has, role, trees, right)[0][0] for right in ("SELECT", "UPDATE", "INSERT")
    ]
    assert granted == [True, True, False]
    assert sql(portal, has, "datastore_default", trees, "SELECT") == [(True,)]
    sql(portal, f'REVOKE ALL ON "{trees}" FROM {role}')


def sql_admin(portal: Portal, statement: str) -> None:
    with psycopg.connect(portal.admin_url, autocommit=True) as connection:
        connection.execute(statement)


def test_a_view_of_the_publishers_own(portal: Portal, trees: str, tmp_path: Path):
    view = f"tall_{trees[:8]}"
    sql(portal, f'CREATE VIEW {view} AS SELECT tree, height FROM "{trees}" WHERE height > 12')
    load_text(portal, trees, NEW, tmp_path)
    assert sql(portal, f"SELECT tree FROM {view} ORDER BY tree") == [("Eiche",), ("Linde",)]


def test_a_view_on_a_column_that_is_gone_is_in_the_way(portal: Portal, trees: str, tmp_path: Path):
    view = f"tall_{trees[:8]}"
    sql(portal, f'CREATE VIEW {view} AS SELECT tree, height FROM "{trees}"')
    with pytest.raises(errors.DependentObjects, match=view):
        load_text(portal, trees, "tree,planted\nUlme,2020-01-05\n", tmp_path)
    assert portal.search(trees)["total"] == 2
    assert sql(portal, f"SELECT count(*) FROM {view}") == [(2,)]


def test_columns_come_and_go_and_the_rest_keeps_what_it_had(
    portal: Portal, trees: str, tmp_path: Path
):
    edit(portal, trees, tree={"label": "Baumart"}, planted={"label": "Pflanzung"})
    load_text(portal, trees, "tree,girth\nUlme,0.80\n", tmp_path)
    found = portal.action("datastore_info", id=trees)["fields"]
    assert [(field["id"], field["type"]) for field in found] == [
        ("tree", "text"),
        ("girth", "numeric"),
    ]
    assert dictionary(portal, trees)["tree"]["label"] == "Baumart"


# Type overrides


def test_a_type_override_decides(portal: Portal, trees: str, tmp_path: Path):
    edit(portal, trees, height={"type_override": "text"}, planted={"type_override": "timestamp"})
    load_text(portal, trees, NEW, tmp_path)
    types = {f["id"]: f["type"] for f in portal.action("datastore_info", id=trees)["fields"]}
    assert types == {"tree": "text", "height": "text", "planted": "timestamp", "remark": "text"}
    assert dictionary(portal, trees)["height"]["type_override"] == "text"


def test_a_value_that_does_not_fit_the_override_is_told_and_the_old_table_stays(
    portal: Portal, trees: str, tmp_path: Path
):
    edit(portal, trees, height={"type_override": "numeric"})
    with pytest.raises(errors.ValueDoesNotFit) as caught:
        load_text(portal, trees, "tree,height\nUlme,7\nLinde,tall\n", tmp_path)
    error = caught.value
    assert (error.row, error.column, error.value) == (3, "height", "tall")
    assert portal.search(trees)["total"] == 2
    report = load_text(
        portal, trees, "tree,height\nUlme,7\nLinde,tall\n", tmp_path, on_type_error="widen"
    )
    assert any("height: text instead of numeric" in warning for warning in report.warnings)
    assert rows(portal, trees) == [("Ulme", "7"), ("Linde", "tall")]


def test_a_guess_is_never_written_into_the_dictionary(portal: Portal, trees: str, tmp_path: Path):
    load_text(portal, trees, NEW, tmp_path)
    assert not any("type_override" in info for info in dictionary(portal, trees).values())
