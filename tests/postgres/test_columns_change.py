"""Before the columns of a table change, who asked for the load may refuse that."""

from collections.abc import Sequence

import pytest
from datastore import create, install_ckan, rows_of, shadows

from loader.errors import ColumnsRefused
from loader.options import Options
from loader.pipeline.load import load
from loader.progress import Silent
from loader.types.column import Column

OLD = "id,amount\n1,10\n2,20\n"
HAD = [("id", "bigint"), ("amount", "bigint")]


def named(columns: Sequence[Column]) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in columns]


class Asked:
    """Remembers what it is asked, and refuses if it is to."""

    def __init__(self, refuse: bool = False, look=lambda: None) -> None:
        self.questions: list[tuple[list, list]] = []
        self.saw: list[object] = []
        self._refuse, self._look = refuse, look

    def __call__(self, before, after) -> None:
        self.questions.append((named(before), named(after)))
        self.saw.append(self._look())
        if self._refuse:
            raise ColumnsRefused("a dashboard needs amount", hint="keep it")


@pytest.fixture
def put(tmp_path, datastore_url):
    """Loads a text into the table "t"."""

    def put(text: str, asked: Asked | None = None, progress=None, **options):
        path = tmp_path / "t.csv"
        path.write_text(text)
        given = Options("t", datastore_url, **options)
        return load(path, given, progress, before_columns_change=asked)

    return put


# name: the file that comes next, its columns
CHANGES = {
    "another type": ("id,amount\n1,1.50\n", [("id", "bigint"), ("amount", "numeric")]),
    "a new column": ("id,amount,unit\n1,10,kg\n", [*HAD, ("unit", "text")]),
    "a column gone": ("id\n1\n", HAD[:1]),
    "another name": ("id,Amount\n1,10\n", [("id", "bigint"), ("Amount", "bigint")]),
    "a type that no sample shows": (
        "id,amount\n" + "1,10\n" * 3000 + "2,none\n",
        [("id", "bigint"), ("amount", "text")],
    ),
}


@pytest.mark.parametrize(("text", "columns"), CHANGES.values(), ids=CHANGES)
def test_it_is_asked_once_while_the_old_rows_are_served(put, database, text, columns):
    put(OLD)
    count = len(text.splitlines()) - 1

    def look() -> tuple[list, int]:
        [shadow] = shadows(database)
        return rows_of(database, "t"), len(rows_of(database, shadow))

    asked = Asked(look=look)
    report = put(text, asked)
    assert asked.questions == [(HAD, columns)]
    assert asked.saw == [([(1, 10), (2, 20)], count)]
    assert report.rows == len(rows_of(database, "t")) == count


@pytest.mark.parametrize(("text", "columns"), CHANGES.values(), ids=CHANGES)
def test_who_refuses_keeps_the_table_as_it_was(put, database, text, columns):
    put(OLD)
    database.execute('COMMENT ON COLUMN t.amount IS \' {"_info": {"label": "Amount"}}\'')
    before = database.execute("SELECT 't'::regclass::oid, * FROM t").fetchall()
    with pytest.raises(ColumnsRefused, match="a dashboard needs amount") as refused:
        put(text, Asked(refuse=True))
    assert refused.value.report.columns[0]["id"] == "id"
    assert database.execute("SELECT 't'::regclass::oid, * FROM t").fetchall() == before
    described = "SELECT col_description('t'::regclass, 4)"
    assert "Amount" in database.execute(described).fetchone()[0]
    assert shadows(database) == []


# name: the file that comes next, options
SAME = {
    "the same columns": ("id,amount\n3,30\n", {}),
    "in another order": ("amount,id\n30,3\n", {}),
    "rows that are added": ("id,amount\n3,30\n", {"mode": "append"}),
    "rows with a key": ("id,amount\n3,30\n", {"mode": "upsert", "key": ["id"]}),
}


@pytest.mark.parametrize(("text", "options"), SAME.values(), ids=SAME)
def test_it_is_not_asked_where_no_column_changes(put, database, text, options):
    asked = Asked(refuse=True)
    put(OLD, asked)  # there is no table yet
    put(text, asked, **options)
    assert asked.questions == []
    assert database.execute("SELECT amount FROM t WHERE id = 3").fetchall() == [(30,)]


def test_types_that_no_load_makes_have_postgres_names(put, database):
    install_ckan(database)
    create(database, "t", "id integer, name varchar(10), at timestamp, tags text[]")
    asked = Asked()
    put("id,name,at,tags\n1,a,2020-01-01T00:00:00,x\n", asked)
    before, after = asked.questions[0]
    assert before == [
        ("id", "integer"),
        ("name", "character varying(10)"),
        ("at", "timestamp"),
        ("tags", "text[]"),
    ]
    assert after == [("id", "bigint"), ("name", "text"), ("at", "timestamp"), ("tags", "text")]


def test_what_has_become_of_the_table_during_the_load_counts(put, database):
    put(OLD)
    asked = Asked()

    class Alters(Silent):
        """Somebody adds a column after the rows were copied."""

        def begin(self, title: str) -> None:
            if title == "adding the primary key":
                database.execute("ALTER TABLE t ADD COLUMN note text")

    put(OLD, asked, progress=Alters())
    assert asked.questions == [([*HAD, ("note", "text")], HAD)]
