"""A format is one module and a line in a list: the one of the page on extending the loader."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
from extending import run

from loader import infer, load, validate
from loader.errors import AircanError, NoRows, NotATable, ValueDoesNotFit
from loader.formats import opening

FIELDS = [("CODE", "C", 5), ("PLANTED", "D", 8), ("HEIGHT", "N", 5), ("NAME", "C", 12)]
ROWS = [
    ("007", "19170101", "19", "Linde"),
    ("12", "", "", "Eiche, große"),
    ("13", "20240229", "4", '"Ahorn"'),
    ("14", "19990101", "5.50", ""),
]
STORED = [
    (1, "007", "1917-01-01", "19", "Linde"),
    (2, "12", None, None, "Eiche, große"),
    (3, "13", "2024-02-29", "4", '"Ahorn"'),
    (4, "14", "1999-01-01", "5.50", None),
]
TYPES = {"CODE": "text", "PLANTED": "date", "HEIGHT": "numeric", "NAME": "text"}


def dbf(rows: list[tuple[str, ...]], deleted: tuple[int, ...] = ()) -> bytes:
    """Write a dBase file; the rows at some indices are marked as deleted."""
    fields = b"".join(
        struct.pack("<11sc4xB15x", name.encode(), kind.encode(), width)
        for name, kind, width in FIELDS
    )
    widths = [width for *_, width in FIELDS]
    start = 32 + len(fields) + 1
    head = struct.pack("<B3sIHH20x", 3, b"\x7c\x01\x02", len(rows), start, 1 + sum(widths))
    written = [
        (b"*" if index in deleted else b" ")
        + b"".join(
            cell.encode("cp1252").ljust(width) for cell, width in zip(row, widths, strict=True)
        )
        for index, row in enumerate(rows)
    ]
    return head + fields + b"\r" + b"".join(written) + b"\x1a"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The format of the page, which is listed; a block of it has few rows."""
    made = ModuleType("made_by_the_page")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setattr(opening, "FORMATS", list(opening.FORMATS))
    run(made, "format")
    run(made, "listing the format")
    vars(made)["ROWS"] = 3
    return made


def stored(database: psycopg.Connection) -> list[tuple[Any, ...]]:
    columns = ", ".join(f'"{name}"::text' for name in TYPES)
    return database.execute(f"SELECT _id, {columns} FROM t ORDER BY 1").fetchall()


def types(report: Any) -> dict[str, str]:
    return {column["id"]: column["type"] for column in report.columns}


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize("full_text", ["all", "none"])
def test_a_file_of_it_is_loaded(
    tmp_path: Path, datastore_url: str, database: psycopg.Connection, full_text: str
):
    path = tmp_path / "t.dbf"
    path.write_bytes(dbf([*ROWS, *ROWS], deleted=(0, 1, 2, 7)))
    url = {"datastore_url": datastore_url, "resource_id": "t"}
    report = load(path, **url, full_text=full_text)
    assert report.rows == 4
    assert types(report) == TYPES
    assert stored(database) == [
        (number, *row[1:]) for number, row in enumerate([STORED[3], *STORED[:3]], start=1)
    ]
    found = "SELECT count(*) FROM t WHERE _full_text @@ plainto_tsquery('große 12')"
    assert database.execute(found).fetchone() == (1 if full_text == "all" else 0,)


@pytest.mark.usefixtures("module")
def test_it_is_widened_merged_and_described_like_any_other(
    tmp_path: Path, datastore_url_18: str, database_18: psycopg.Connection
):
    path = tmp_path / "t.dbf"
    path.write_bytes(dbf(ROWS))
    to = {"datastore_url": datastore_url_18, "resource_id": "t"}
    report = load(path, **to)
    assert (report.rows, types(report)) == (4, TYPES)
    assert stored(database_18) == STORED
    widened = {column["id"]: column["widened_from"] for column in report.columns}
    assert widened["HEIGHT"] == "bigint"  # the 5.50 is in the second block
    assert load(path, **to, mode="append").rows == 4
    assert len(stored(database_18)) == 8
    schema = {"fields": [{"name": "CODE", "type": "integer"}]}
    with pytest.raises(ValueDoesNotFit, match="declared type integer") as refused:
        load(path, **to, schema=schema)
    assert (refused.value.row, refused.value.column) == (1, "CODE")
    described = infer(path)
    assert (described["format"], described["schema"]["fields"][0]["type"]) == ("dbf", "string")
    height: dict[str, Any] = {"name": "HEIGHT", "type": "number"}
    assert validate(path, schema={"fields": [height]})["valid"]
    height["constraints"] = {"required": True}
    (task,) = validate(path, schema={"fields": [height]})["tasks"]
    errors = [(error["type"], error["rowNumber"]) for error in task["errors"]]
    assert errors == [("constraint-error", 2)]


@pytest.mark.usefixtures("module")
def test_what_it_does_not_know_is_a_csv(
    tmp_path: Path, datastore_url_18: str, database_18: psycopg.Connection
):
    (tmp_path / "t.csv").write_text("CODE,PLANTED,HEIGHT,NAME\nx,1999-01-01,5.5,y\n")
    load(tmp_path / "t.csv", datastore_url=datastore_url_18, resource_id="t")
    assert stored(database_18) == [(1, "x", "1999-01-01", "5.5", "y")]


# What replaces no table: the file, and the error.
REFUSED = {
    "cut": (dbf([*ROWS, *ROWS])[:-40], NotATable, "ends before its last row"),
    "nothing in it": (dbf([("", "", "", "")] * 5), NoRows, r"nothing is in the rows \(5\)"),
}


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(("data", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_of_it_replaces_none(
    tmp_path: Path,
    datastore_url_18: str,
    database_18: psycopg.Connection,
    data: bytes,
    error: type[AircanError],
    message: str,
):
    path = tmp_path / "t.dbf"
    path.write_bytes(dbf(ROWS))
    load(path, datastore_url=datastore_url_18, resource_id="t")
    path.write_bytes(data)
    with pytest.raises(error, match=message):
        load(path, datastore_url=datastore_url_18, resource_id="t")
    assert stored(database_18) == STORED
