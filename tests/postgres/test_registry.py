"""A type is one row of the registry: loading, searching and refusing its values needs no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loader.errors import ValueDoesNotFit
from loader.options import Options
from loader.pipeline.load import load
from loader.types import registry
from loader.types.checks import Check, all_match
from loader.types.registry import Lexemes, Type

HEX = "[0-9a-f]"
UUID = f"{HEX}{{8}}(?:-{HEX}{{4}}){{3}}-{HEX}{{12}}"
YEAR = "[1-9][0-9]{3}"
ONE, OTHER = "a81bc81b-dead-4e5d-abcd-01234567890f", "00000000-0000-4000-8000-000000000000"
COMMENT = """COMMENT ON COLUMN t.a IS ' {"_info": {"type_override": "uuid"}}'"""


@dataclass(frozen=True)
class Case:
    """A type that is added.

    Attributes:
        row: All that is added for it.
        values: Some that it has.
        misfit: One that it has not.
        wider: The type that holds both.
        declared: What a caller says of the column.
        prepared: What makes the table that is there before.
        called: What the type is called in an error.
    """

    row: Type
    values: tuple[str, str]
    misfit: str
    wider: str
    called: str
    declared: dict[str, Any] = field(default_factory=dict)
    prepared: str = ""


CASES = {
    "one that the Data Dictionary decides": Case(
        Type(
            "uuid",
            Check(lambda cells: all_match(cells, UUID), UUID),
            lexemes=Lexemes.WORD,
        ),
        values=(ONE, OTHER),
        misfit=ONE.upper(),
        wider="text",
        called="uuid",
        prepared=f"CREATE TABLE t (_id int, _full_text tsvector, a text); {COMMENT}",
    ),
    "one that frictionless knows": Case(
        Type(
            "smallint",
            Check(lambda cells: all_match(cells, YEAR), YEAR),
            wider="bigint",
            frictionless=("year",),
            lexemes=Lexemes.NUMBER,
        ),
        values=("1999", "2024"),
        misfit="20240",
        wider="bigint",
        called="year",
        declared={"schema": {"fields": [{"name": "a", "type": "year"}]}},
    ),
}

QUERY = """
    SELECT count(*), min(a::text), max(a::text), count(*) FILTER (WHERE strip(_full_text)
        IS DISTINCT FROM strip(to_tsvector(concat_ws(' ', a::text, b))))
    FROM t
"""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_row_makes_a_type(
    database: psycopg.Connection,
    datastore_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
) -> None:
    monkeypatch.setattr(registry, "TYPES", (*registry.TYPES, case.row))
    database.execute(case.prepared)

    def put(value: str, **options: Any) -> None:
        path = tmp_path / "t.csv"
        lines = [f'{case.values[i % 2]},"word {i}"\n' for i in range(1000)]
        # A row that is padded: its block is taken apart, cell by cell.
        path.write_text("".join(["a,b\n", *lines, f"{value}\n"]))
        load(path, Options("t", datastore_url, **case.declared, **options))

    def column() -> tuple[str]:
        return database.execute(
            "SELECT atttypid::regtype::text FROM pg_attribute"
            " WHERE attrelid = 't'::regclass AND attname = 'a'"
        ).fetchone()

    put(case.values[0])
    least, most = sorted(case.values)
    assert column() == (case.row.name,)
    assert database.execute(QUERY).fetchone() == (1001, least, most, 0)
    put(case.values[1], mode="append")
    assert database.execute(QUERY).fetchone() == (2002, least, most, 0)
    with pytest.raises(ValueDoesNotFit, match=f"does not fit the declared type {case.called}"):
        put(case.misfit)
    put(case.misfit, on_type_error="widen")
    assert column() == (case.wider,)


@pytest.mark.parametrize("matched", [True, False], ids=["in order", "cell by cell"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_block_of_it_is_verified_by_its_row(
    database_18: psycopg.Connection,
    datastore_url_18: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
    matched: bool,
) -> None:
    """With the row's pattern, or by its check alone."""
    row = case.row if matched else Type(**{**vars(case.row), "check": Check(case.row.check.fits)})
    monkeypatch.setattr(registry, "TYPES", (*registry.TYPES, row))
    database_18.execute(case.prepared)
    path = tmp_path / "t.csv"
    path.write_text("a\n" + "".join(f"{value}\n" for value in case.values))
    load(path, Options("t", datastore_url_18, **case.declared))
    found = database_18.execute("SELECT a::text FROM t ORDER BY _id").fetchall()
    assert found == [(value,) for value in case.values]
