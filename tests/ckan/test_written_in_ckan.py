"""How columns are written in the file, as CKAN's Data Dictionary keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loads import load_text, rows
from portal import Portal

from loader import errors

FIRST = "id;day;price\n1;31.12.2020;1.234,56 €\n"
MORE = "id;day;price\n2;01.02.2021;5,00 €\n"
NOTE = "Written as 31.12.2020 (%d.%m.%Y) in the file."


def dictionary(portal: Portal, resource_id: str) -> dict[str, Any]:
    fields = portal.action("datastore_info", id=resource_id)["fields"]
    return {field["id"]: field.get("info", {}) for field in fields}


def save(portal: Portal, resource_id: str, **kept: str) -> None:
    """Save the Data Dictionary as its form does: with the entries that the form has."""
    fields = portal.action("datastore_info", id=resource_id)["fields"]
    form = ("label", "notes", "type_override")
    saved = []
    for field in fields:
        info = {key: field.get("info", {}).get(key, "") for key in form}
        saved.append({"id": field["id"], "type": field["type"], "info": info | kept})
    portal.action("datastore_create", resource_id=resource_id, force=True, fields=saved)


@pytest.mark.parametrize("via", ["copy", "api"])
def test_the_dictionary_tells_how_columns_were_written(portal: Portal, tmp_path: Path, via: str):
    resource_id = portal.new_resource()["id"]
    for _ in range(2):
        load_text(portal, resource_id, FIRST, tmp_path, via=via)
        told = dictionary(portal, resource_id)
        assert (told["day"]["read_as"], told["day"]["notes"]) == ("%d.%m.%Y", NOTE)
        assert told["price"]["read_as"] == "1.234,56 €"
        assert "read_as" not in told["id"]
    load_text(portal, resource_id, "id;day;price\n1;2020-12-31;1.5\n", tmp_path, via=via)
    told = dictionary(portal, resource_id)
    assert "read_as" not in told["day"]
    assert not told["day"].get("notes")


@pytest.mark.parametrize("via", ["copy", "api"])
def test_rows_are_added_as_the_table_was_read_also_after_an_edit(
    portal: Portal, tmp_path: Path, via: str
):
    resource_id = portal.new_resource()["id"]
    load_text(portal, resource_id, FIRST, tmp_path, via=via)
    save(portal, resource_id)
    assert "read_as" not in dictionary(portal, resource_id)["day"]
    load_text(portal, resource_id, MORE, tmp_path, via=via, mode="append")
    assert [row[1:] for row in rows(portal, resource_id)] == [
        ("2020-12-31", "1234.56"),
        ("2021-02-01", "5.00"),
    ]
    other = "id;day;price\n3;31/12/2020;5,00 €\n"
    with pytest.raises((errors.SchemaDiffers, errors.ValueDoesNotFit)) as failure:
        load_text(portal, resource_id, other, tmp_path, via=via, mode="append")
    assert (failure.value.row, failure.value.column) == (2, "day")


@pytest.mark.parametrize("via", ["copy", "api"])
def test_what_an_editor_has_noted_stays(portal: Portal, tmp_path: Path, via: str):
    resource_id = portal.new_resource()["id"]
    load_text(portal, resource_id, FIRST, tmp_path, via=via)
    save(portal, resource_id, notes="by hand")
    load_text(portal, resource_id, FIRST, tmp_path, via=via)
    told = dictionary(portal, resource_id)["day"]
    assert (told["notes"], told["read_as"]) == ("by hand", "%d.%m.%Y")
