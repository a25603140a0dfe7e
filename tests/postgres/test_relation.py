"""The table that a load leaves is the one that CKAN's DataStore would have made."""

import hashlib
import json
import uuid

import pytest
from datastore import create, install_ckan, install_trigger_function, rows_of, shadows

from loader.copy import relation, rights
from loader.copy.relation import Relation
from loader.errors import PermissionDenied, RowRefused, TooManyColumns, UsageError
from loader.options import Options
from loader.pipeline.load import load


def write(path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture
def trees(tmp_path) -> str:
    return write(tmp_path / "trees.csv", "name,height\nOak,12\nAsh,9\n")


def test_columns_are_those_of_a_datastore_table(database, datastore_url, trees):
    load(trees, Options("trees", datastore_url))
    columns = database.execute(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull,"
        " pg_get_expr(adbin, adrelid), attgenerated::text, attidentity::text FROM pg_attribute"
        " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE attrelid = 'trees'::regclass AND attnum > 0 ORDER BY attnum"
    ).fetchall()
    assert columns == [
        ("_id", "integer", True, "nextval('trees__id_seq'::regclass)", "", ""),
        ("_full_text", "tsvector", False, None, "", ""),
        ("name", "text", False, None, "", ""),
        ("height", "bigint", False, None, "", ""),
    ]


@pytest.mark.parametrize("method", ["gin", "gist"])
def test_keys_and_indexes_have_ckans_names(database, datastore_url, trees, method):
    resource_id = "6b1fe4e5-7a2b-4b07-b4ea-1c8a2bfc5b17"
    load(trees, Options(resource_id, datastore_url, fts_index=method))
    indexes = database.execute(
        "SELECT indexrelid::regclass::text, indisprimary, amname FROM pg_index"
        " JOIN pg_class i ON i.oid = indexrelid JOIN pg_am a ON a.oid = i.relam"
        " WHERE indrelid = %s::regclass ORDER BY 2",
        (f'"{resource_id}"',),
    ).fetchall()
    # What ckanext.datastore.backend.postgres makes of the resource id and the index's expression.
    full_text = hashlib.sha1(
        f'{resource_id}"_full_text"'.encode(), usedforsecurity=False
    ).hexdigest()
    quoted = f'"{full_text}"' if full_text[0].isdigit() else full_text
    assert indexes == [(quoted, False, method), (f'"{resource_id}_pkey"', True, "btree")]
    sequence = database.execute(
        "SELECT pg_get_serial_sequence(%s, '_id')", (f'"{resource_id}"',)
    ).fetchone()
    assert sequence == (f'public."{resource_id}__id_seq"',)


def test_no_index_on_request(database_18, datastore_url_18, trees):
    load(trees, Options("trees", datastore_url_18, fts_index="none"))
    indexes = database_18.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'trees'")
    assert indexes.fetchall() == [("trees_pkey",)]
    found = database_18.execute("SELECT name FROM trees WHERE _full_text @@ to_tsquery('oak')")
    assert found.fetchall() == [("Oak",)]


def test_rows_can_be_added_as_the_datastore_does(database, datastore_url, trees):
    install_trigger_function(database)
    for _ in range(2):  # also after a reload
        load(trees, Options("trees", datastore_url))
        database.execute("INSERT INTO trees (name, height) VALUES ('Larches', 30), (NULL, -1)")
        database.execute("UPDATE trees SET name = 'Elms', _full_text = NULL WHERE _id = 1")
        assert database.execute(
            "SELECT _id, name, tsvector_to_array(_full_text) FROM trees ORDER BY _id"
        ).fetchall() == [
            (1, "Elms", ["12", "elm"]),
            (2, "Ash", ["9", "ash"]),
            (3, "Larches", ["30", "larch"]),
            (4, None, ["-1"]),
        ]


def test_an_empty_table_begins_with_id_1(database_18, datastore_url_18, tmp_path):
    load(write(tmp_path / "t.csv", "name,height\n"), Options("t", datastore_url_18))
    assert database_18.execute("INSERT INTO t (name) VALUES ('a') RETURNING _id").fetchall() == [
        (1,)
    ]


def test_a_database_without_ckans_function_gets_no_trigger(database_18, datastore_url_18, trees):
    load(trees, Options("trees", datastore_url_18))
    triggers = database_18.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
    assert triggers.fetchall() == []


def test_original_headers_are_kept_as_labels(database, datastore_url, tmp_path):
    path = write(tmp_path / "t.csv", '_it\'s,"a ""b"" %s",plain,,plain\n1,2,3,4,5\n')
    report = load(path, Options("t", datastore_url))
    labels = {
        name: json.loads(comment)["_info"]["label"] if comment else None
        for name, comment in database.execute(
            "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute"
            " WHERE attrelid = 't'::regclass AND attnum > 2"
        )
    }
    assert list(labels) == [column["id"] for column in report.columns]
    assert labels == {
        "it's": "_it's",
        "a 'b' %s": 'a "b" %s',
        "plain": None,
        "column_4": None,
        "plain_2": "plain",
    }
    comments = database.execute("SELECT col_description('t'::regclass, 3)").fetchone()
    assert comments[0].startswith(" {")  # as CKAN 2.11 and later write it


NAMES = [
    "100%",
    "%s",
    "%(name)s",
    "it's",
    "x: y",
    "a:b::c",
    "select",
    "User",
    "two words",
    "back\\slash",
    "größe (m²)",
    "東京 🙂",
    "{curly} [square]",
    "$1",
    "semi;colon--",
    "tableoid",
    "x" * 63,
    "ä" * 31,
]


def test_column_names_stay_as_they_are(database, datastore_url, tmp_path):
    # Names that Postgres keeps for itself get a suffix.
    header = "\t".join(NAMES)
    types = ["7", "text <b", "2020-01-02", "1.50", "2020-01-02T03:04:05Z", "true"]
    cells = [types[i % len(types)] for i in range(len(NAMES))]
    path = write(tmp_path / "t.tsv", f"{header}\n" + "\t".join(cells) + "\n")
    report = load(path, Options("t", datastore_url, delimiter="\t"))
    names = [column["id"] for column in report.columns]
    assert [name for name in names if name in NAMES] == [n for n in NAMES if n != "tableoid"]
    columns = database.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 2"
        " ORDER BY attnum"
    )
    assert [row[0] for row in columns] == names
    assert rows_of(database, "t")[0][1] == "text <b"


@pytest.mark.parametrize(
    "resource_id",
    ["it's", "100% {odd} $1;--", ":x", "UPPER lower", "東京", "back\\slash", "a/b.c", "x" * 55],
)
def test_resource_ids_may_be_odd(database_18, datastore_url_18, trees, resource_id):
    for _ in range(2):
        load(trees, Options(resource_id, datastore_url_18))
    assert rows_of(database_18, resource_id) == [("Oak", 12), ("Ash", 9)]
    assert shadows(database_18) == []


@pytest.mark.parametrize(
    "resource_id",
    [
        *("x" * 56, "ä" * 28, "_hidden", 'a"b', "a\0b"),
        *("two\nlines", "a\x1b[31m", "a\u202eb", "a\udcffb"),
    ],
)
def test_resource_ids_that_cannot_name_a_table(datastore_url_18, trees, resource_id):
    with pytest.raises(UsageError, match="cannot name a DataStore table"):
        load(trees, Options(resource_id, datastore_url_18))


def test_names_of_loads_never_meet():
    """Of the same resource they share the prefix that orphans are recognised by."""
    one, two = relation.name("trees"), relation.name("trees")
    assert one.shadow != two.shadow
    assert one.shadow[:25] == two.shadow[:25] != relation.name("shrubs").shadow[:25]
    assert len(f"{one.shadow}__id_seq") <= 63


def wide(path, columns: int, cell: str) -> str:
    header = ",".join(f"c{i}" for i in range(columns))
    return write(path, f"{header}\n" + ",".join([cell] * columns) + "\n")


def test_as_many_columns_as_postgres_takes(database, datastore_url, tmp_path):
    report = load(wide(tmp_path / "t.csv", 1598, "ab"), Options("t", datastore_url))
    assert len(report.columns) == 1598
    assert rows_of(database, "t") == [("ab",) * 1598]
    found = database.execute("SELECT count(*) FROM t WHERE _full_text @@ to_tsquery('ab')")
    assert found.fetchone() == (1,)


def test_one_column_more_is_refused(database_18, datastore_url_18, tmp_path):
    with pytest.raises(TooManyColumns, match="1599 columns") as refused:
        load(wide(tmp_path / "t.csv", 1599, "ab"), Options("t", datastore_url_18))
    assert "1598" in refused.value.hint


def test_a_row_that_postgres_cannot_hold_is_explained(database, datastore_url, tmp_path):
    """1,598 numbers of 8 bytes are more than a page of 8 kB."""
    with pytest.raises(RowRefused, match="row is too big") as refused:
        load(wide(tmp_path / "t.csv", 1598, "7"), Options("t", datastore_url))
    assert "use fewer columns" in refused.value.hint
    assert shadows(database) == []


@pytest.fixture
def roles(database):
    """CKAN's write role, and one that may log in and no more."""
    names = [f"{role}{uuid.uuid4().hex[:8]}" for role in ("write", "guest")]
    for name in names:
        database.execute(f"CREATE ROLE {name}")
    install_ckan(database, names[0])
    yield names
    database.execute(f"SET ROLE postgres; REASSIGN OWNED BY {names[0]} TO postgres")
    for name in names:
        database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_the_write_role_has_all_rights(database, roles):
    database.execute(f"SET ROLE {roles[0]}")
    create(database, "trees", "name text")
    rights.check(Relation(database, relation.name("trees")))
    rights.check(Relation(database, relation.name("new")))


# What the guest is granted or refused, and what is said to be missing.
LACKING = {
    "create": ("GRANT USAGE ON SCHEMA public TO {guest}", "lacks CREATE"),
    "all of the schema": ("SELECT 1", "lacks USAGE and CREATE"),
    "the table": (
        "GRANT ALL ON SCHEMA public TO {guest}; GRANT ALL ON trees, _table_stats TO {guest}",
        "the table trees belongs to {write}, and {guest} is no member of it",
    ),
    "the row counts": (
        "GRANT ALL ON SCHEMA public TO {guest}; ALTER TABLE trees OWNER TO {guest};"
        " GRANT SELECT, INSERT, UPDATE ON _table_stats TO {guest}",
        "{guest} lacks DELETE on the table _table_stats",
    ),
    "the function": (
        "GRANT ALL ON SCHEMA public TO {guest}; ALTER TABLE trees OWNER TO {guest};"
        " GRANT ALL ON _table_stats TO {guest};"
        " REVOKE ALL ON FUNCTION populate_full_text_trigger() FROM PUBLIC",
        "{guest} lacks EXECUTE on the function populate_full_text_trigger",
    ),
}


@pytest.mark.parametrize(("grant", "said"), LACKING.values(), ids=LACKING)
def test_the_right_that_is_missing_is_named(database, roles, grant, said):
    named = dict(zip(("write", "guest"), roles, strict=True))
    create(database, "trees", "name text")
    database.execute("ALTER TABLE trees OWNER TO " + named["write"])
    database.execute(grant.format(**named))
    database.execute(f"SET ROLE {named['guest']}")
    with pytest.raises(PermissionDenied) as refused:
        rights.check(Relation(database, relation.name("trees")))
    assert said.format(**named) in str(refused.value)
    assert "write role" in refused.value.hint
