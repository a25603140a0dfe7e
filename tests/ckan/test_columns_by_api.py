"""Before the columns of a table change through CKAN's API, who asked for the load may refuse."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from loads import rows, settings
from portal import Portal

from loader import Options
from loader.errors import ColumnsRefused
from loader.pipeline import separate
from loader.pipeline.load import load
from loader.types.column import Column

OLD = "id,amount\n1,10\n2,20\n"
HAD = [("id", "bigint"), ("amount", "bigint")]


def named(columns: Sequence[Column]) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in columns]


class Asked:
    """Remembers what it is asked and what CKAN shows then, and refuses if it is to."""

    def __init__(self, portal: Portal, resource_id: str, refuse: bool = False) -> None:
        self.questions: list[tuple[list, list]] = []
        self._portal, self._resource_id, self._refuse = portal, resource_id, refuse

    def __call__(self, before, after) -> None:
        self.questions.append((named(before), named(after)))
        assert self._portal.search(self._resource_id)["total"] == 2
        if self._refuse:
            raise ColumnsRefused("a dashboard needs amount")


@pytest.fixture
def resource_id(portal: Portal, tmp_path: Path) -> str:
    """A resource with two rows."""
    made = str(portal.new_resource()["id"])
    put(portal, made, OLD, tmp_path)
    return made


def put(portal: Portal, resource_id: str, text: str, folder: Path, asked=None, how="load", **more):
    path = folder / "t.csv"
    path.write_text(text)
    options = Options(**settings(portal), resource_id=resource_id, via="api", **more)
    if how == "load":
        return load(path, options, before_columns_change=asked)
    written = io.BytesIO()
    report = separate.convert(path, written, options)
    written.seek(0)
    return separate.send(written, report, options, before_columns_change=asked)


# name: the file that comes next, its columns
CHANGES = {
    "another type": ("id,amount\n1,1.50\n", [("id", "bigint"), ("amount", "numeric")]),
    "a new column": ("id,amount,unit\n1,10,kg\n", [*HAD, ("unit", "text")]),
    "a column gone": ("id\n1\n", HAD[:1]),
}


@pytest.mark.parametrize("how", ["load", "send"])
@pytest.mark.parametrize(("text", "columns"), CHANGES.values(), ids=CHANGES)
def test_it_is_asked_once_while_the_old_rows_are_served(
    portal, resource_id, tmp_path, text, columns, how
):
    asked = Asked(portal, resource_id)
    put(portal, resource_id, text, tmp_path, asked, how)
    assert asked.questions == [(HAD, columns)]
    assert len(rows(portal, resource_id)) == 1


@pytest.mark.parametrize("how", ["load", "send"])
def test_who_refuses_keeps_the_table_as_it_was(portal, resource_id, tmp_path, how):
    shown = portal.action("resource_show", id=resource_id)
    asked = Asked(portal, resource_id, refuse=True)
    with pytest.raises(ColumnsRefused, match="a dashboard needs amount"):
        put(portal, resource_id, CHANGES["a column gone"][0], tmp_path, asked, how)
    assert rows(portal, resource_id) == [("1", "10"), ("2", "20")]
    assert portal.action("resource_show", id=resource_id) == shown
    assert portal.search(resource_id, q="20")["total"] == 1


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("id,amount\n3,30\n", {}),
        ("amount,id\n30,3\n", {}),
        ("id,amount\n3,30\n", {"mode": "append"}),
        ("id,amount\n3,30\n", {"mode": "upsert", "key": ["id"]}),
    ],
    ids=["the same columns", "another order", "append", "upsert"],
)
def test_it_is_not_asked_where_no_column_changes(portal, resource_id, tmp_path, text, more):
    asked = Asked(portal, resource_id, refuse=True)
    put(portal, resource_id, text, tmp_path, asked, **more)
    assert asked.questions == []
    assert ("3", "30") in rows(portal, resource_id)
