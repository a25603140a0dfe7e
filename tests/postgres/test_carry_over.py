"""What a portal has put on a table is on the table that replaces it."""

import hashlib
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from datastore import create, fill_shadow, install_ckan, replace, rows_of, shadows
from psycopg import sql
from test_swap import AtStep

from loader.copy import database as connections
from loader.copy import indexes as building
from loader.copy import live_table, locks, relation, shadow, swap, views
from loader.errors import DependentObjects, KeyViolated, RowRefused, UsageError
from loader.options import Options
from loader.pipeline.load import load
from loader.types.column import Column

COLUMNS = [("name", "text"), ("height", "bigint")]
ROWS = [("Elm", 20), ("Fir", 5), ("Yew", 3)]


@pytest.fixture
def url(datastore_url, database) -> str:
    """A database that CKAN has prepared, with a table of trees in it."""
    install_ckan(database)
    create(database, "trees", "name text, height bigint", "('Oak', 12), ('Ash', 9)")
    return datastore_url


@pytest.fixture
def url_18(datastore_url_18, database_18) -> str:
    install_ckan(database_18)
    create(database_18, "trees", "name text, height bigint", "('Oak', 12), ('Ash', 9)")
    return datastore_url_18


def indexes(connection) -> list[str]:
    rows = connection.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'trees' ORDER BY indexname"
    )
    return [row[0] for row in rows]


def everything(connection) -> dict[str, list]:
    """The catalog's rows of the table, without what every new table has anew."""
    queries = {
        "indexes": "SELECT relname, pg_get_indexdef(oid), obj_description(oid) FROM pg_index"
        " JOIN pg_class ON oid = indexrelid WHERE indrelid = 'trees'::regclass"
        " AND pg_get_indexdef(oid) NOT LIKE '%(_full_text)'",
        "clustered on": "SELECT indexrelid::regclass::text FROM pg_index"
        " WHERE indrelid = 'trees'::regclass AND (indisclustered OR indisreplident)",
        "constraints": "SELECT conname, pg_get_constraintdef(oid), obj_description(oid)"
        " FROM pg_constraint WHERE conrelid = 'trees'::regclass",
        "triggers": "SELECT pg_get_triggerdef(oid), tgenabled::text, obj_description(oid)"
        " FROM pg_trigger WHERE tgrelid = 'trees'::regclass AND NOT tgisinternal",
        "columns": "SELECT attname, attacl::text, attnotnull, attstorage::text,"
        " attcompression::text, attstattarget, attoptions,"
        " col_description(attrelid, attnum), pg_get_expr(adbin, adrelid) FROM pg_attribute"
        " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE attrelid = 'trees'::regclass AND attnum > 0",
        "relations": "SELECT relname, relkind::text, relowner::regrole::text, relacl::text,"
        " reloptions, relreplident::text, relpersistence::text,"
        f" nullif(obj_description(oid), '{relation.MARK}'), obj_description(reltype) FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'v', 'S') AND left(relname, 1) <> '_'",
        "views": "SELECT schemaname, viewname, definition FROM pg_views"
        " WHERE schemaname IN ('public', 'reports')",
        "view columns": "SELECT attrelid::regclass::text, attname, attacl::text,"
        " col_description(attrelid, attnum), pg_get_expr(adbin, adrelid) FROM pg_attribute"
        " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " JOIN pg_class c ON c.oid = attrelid"
        " WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace AND attnum > 0",
    }
    return {name: sorted(map(str, connection.execute(q))) for name, q in queries.items()}


@pytest.fixture
def roles(request) -> Iterator[tuple[str, str]]:
    """A reader and an owner of this test's own: roles belong to the whole server."""
    database = request.getfixturevalue(
        "database" if "url" in request.fixturenames else "database_18"
    )
    names = [f'{role} "{uuid.uuid4().hex[:8]}"' for role in ("reader", "owner")]
    for name in names:
        database.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    yield names[0], names[1]
    for name in names:
        database.execute(
            sql.SQL("REASSIGN OWNED BY {0} TO postgres; DROP OWNED BY {0}; DROP ROLE {0}").format(
                sql.Identifier(name)
            )
        )


ALL_AT_ONCE = """
    CREATE INDEX "by name" ON trees (name);
    COMMENT ON INDEX "by name" IS 'it''s';
    CREATE INDEX fts ON trees USING gin (to_tsvector('english', name)) WITH (fastupdate = off);
    CREATE INDEX part ON trees (lower(name) DESC NULLS LAST) INCLUDE (height) WHERE height > 5;
    CREATE UNIQUE INDEX "0key ON public.trees" ON trees (name, height);
    ALTER TABLE trees ADD CONSTRAINT "one name" UNIQUE (name) DEFERRABLE;
    COMMENT ON CONSTRAINT "one name" ON trees IS 'c';
    ALTER TABLE trees ADD CONSTRAINT low CHECK (height < 50);
    ALTER TABLE trees ADD EXCLUDE USING btree (height WITH =);
    ALTER TABLE trees ALTER name SET NOT NULL, ALTER height SET DEFAULT 7;
    ALTER TABLE trees ALTER name SET STORAGE EXTERNAL, ALTER name SET COMPRESSION pglz,
        ALTER name SET STATISTICS 200, ALTER height SET (n_distinct = 9);
    ALTER INDEX part ALTER COLUMN 1 SET STATISTICS 300;
    ALTER SEQUENCE trees__id_seq INCREMENT BY 2 CACHE 3;
    ALTER TABLE trees CLUSTER ON "by name";
    ALTER TABLE trees REPLICA IDENTITY FULL;
    ALTER TABLE trees SET (fillfactor = 70, toast.autovacuum_enabled = off);
    COMMENT ON TABLE trees IS 'the city''s %s trees';
    COMMENT ON COLUMN trees.name IS ' {"_info": {"label": "Tree"}, "other plugin": {"x": [1]}}';
    CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.name := trim(NEW.name); RETURN NEW; END $$;
    CREATE TRIGGER t000 BEFORE INSERT OR UPDATE ON trees FOR EACH ROW EXECUTE FUNCTION tidy();
    CREATE TRIGGER "x ON y" BEFORE INSERT OR DELETE OR UPDATE OF height, name ON trees
        FOR EACH ROW WHEN (pg_trigger_depth() < 9) EXECUTE FUNCTION tidy('a ON public.trees', '%');
    CREATE TRIGGER sleeping AFTER UPDATE ON trees EXECUTE FUNCTION tidy();
    ALTER TABLE trees DISABLE TRIGGER sleeping;
    ALTER TABLE trees ENABLE ALWAYS TRIGGER t000;
    ALTER TABLE trees ENABLE REPLICA TRIGGER zfulltext;
    COMMENT ON TRIGGER t000 ON trees IS 't';
    CREATE VIEW alias AS SELECT * FROM trees;
    CREATE VIEW "An alias" AS SELECT * FROM trees;
    CREATE VIEW tall WITH (security_barrier) AS SELECT name, height * 2 AS "h%" FROM trees t
        WHERE height > (SELECT avg(height) FROM public.trees);
    CREATE VIEW grouped AS SELECT t._id, t.name, count(*) FROM trees t GROUP BY t._id;
    CREATE VIEW over_both AS SELECT t.*, a.height FROM tall t JOIN alias a USING (name);
    CREATE SCHEMA reports;
    CREATE VIEW reports.tall AS SELECT * FROM public.tall;
    CREATE VIEW last AS SELECT * FROM reports.tall;
    COMMENT ON VIEW tall IS 'a view';
    COMMENT ON COLUMN tall.name IS 'its column';
    ALTER VIEW tall ALTER name SET DEFAULT 'Tree %s', ALTER "h%" SET DEFAULT 2 * 3;
    COMMENT ON TYPE trees IS 'a tree''s';
    COMMENT ON TYPE tall IS 'tall one';
"""


def test_everything_survives(url, database, roles):
    reader, owner = map(sql.Identifier, roles)
    database.execute(ALL_AT_ONCE)
    for grant in (
        "GRANT SELECT ON trees, alias, tall TO {}",
        "GRANT UPDATE (name), SELECT (name) ON trees TO {} WITH GRANT OPTION",
        "GRANT SELECT (name) ON over_both TO {}",
        "GRANT USAGE ON SEQUENCE trees__id_seq TO {}",
    ):
        database.execute(sql.SQL(grant).format(reader))
    database.execute(sql.SQL("ALTER VIEW tall OWNER TO {}").format(owner))
    database.execute(sql.SQL("ALTER TABLE trees OWNER TO {}").format(owner))
    before = everything(database)
    for _ in range(2):
        assert replace(url, "trees", COLUMNS, ROWS) == []
        assert everything(database) == before
    assert rows_of(database, "trees") == ROWS
    assert rows_of(database, "alias") == ROWS
    assert database.execute("SELECT * FROM tall").fetchall() == [("Elm", 40)]
    assert shadows(database) == []


# What pg_dump writes of a table: how it is set, and where the catalog has it.
OF_COLUMNS = (
    "SELECT attname, {} FROM pg_attribute"
    " WHERE attrelid = 'trees'::regclass AND attnum > 0 ORDER BY 1"
)
OF_INDEXES = (
    "SELECT pg_get_indexdef(c.oid), {} FROM pg_index JOIN pg_class c ON c.oid = indexrelid"
    " WHERE indrelid = 'trees'::regclass ORDER BY 1"
)
OF_TABLE = "SELECT {} FROM pg_class WHERE oid = 'trees'::regclass"
OF_CONSTRAINTS = (
    "SELECT conname, {} FROM pg_constraint WHERE conrelid = 'trees'::regclass ORDER BY 1"
)
PROPERTIES = {
    "storage": (
        "ALTER TABLE trees ALTER name SET STORAGE EXTERNAL, ALTER _full_text SET STORAGE MAIN",
        OF_COLUMNS.format("attstorage::text"),
    ),
    "plain storage": (
        "ALTER TABLE trees ALTER name SET STORAGE PLAIN",
        OF_COLUMNS.format("attstorage::text"),
    ),
    "compression": (
        "ALTER TABLE trees ALTER name SET COMPRESSION pglz",
        OF_COLUMNS.format("attcompression::text"),
    ),
    "statistics target": (
        "ALTER TABLE trees ALTER name SET STATISTICS 500, ALTER height SET STATISTICS 0",
        OF_COLUMNS.format("coalesce(attstattarget, -1)"),
    ),
    "n_distinct": (
        "ALTER TABLE trees ALTER name SET (n_distinct = -0.5, n_distinct_inherited = 7)",
        OF_COLUMNS.format("attoptions"),
    ),
    "all of an odd column": (
        'ALTER TABLE trees RENAME name TO "n%s ""x"""; ALTER TABLE trees ALTER "n%s ""x""" SET'
        ' STORAGE EXTERNAL, ALTER "n%s ""x""" SET STATISTICS 7, ALTER "n%s ""x""" SET'
        " (n_distinct = 3)",
        OF_COLUMNS.format("attstorage::text, attstattarget, attoptions"),
    ),
    "privileges on a column": (
        "GRANT SELECT (name) ON trees TO PUBLIC",
        OF_COLUMNS.format("attacl::text"),
    ),
    "comment of a column": (
        "COMMENT ON COLUMN trees._full_text IS 'x'",
        OF_COLUMNS.format("col_description(attrelid, attnum)"),
    ),
    "storage parameters": (
        "ALTER TABLE trees SET (autovacuum_vacuum_scale_factor = 0.01, parallel_workers = 2,"
        " toast.autovacuum_enabled = off)",
        OF_TABLE.format(
            "reloptions, (SELECT t.reloptions FROM pg_class t WHERE t.oid = pg_class.reltoastrelid)"
        ),
    ),
    "privileges": ("GRANT SELECT ON trees TO PUBLIC", OF_TABLE.format("relacl::text")),
    "replica identity": (
        "ALTER TABLE trees REPLICA IDENTITY FULL",
        OF_TABLE.format("relreplident"),
    ),
    "replica identity by an index": (
        "ALTER TABLE trees REPLICA IDENTITY USING INDEX trees_pkey",
        OF_INDEXES.format("indisreplident"),
    ),
    "clustering by the key": (
        "ALTER TABLE trees CLUSTER ON trees_pkey",
        OF_INDEXES.format("indisclustered"),
    ),
    "parameters of an index": (
        "CREATE INDEX i ON trees (name) WITH (fillfactor = 50, deduplicate_items = off)",
        OF_INDEXES.format("reloptions"),
    ),
    "parameters of the primary key": (
        "ALTER INDEX trees_pkey SET (fillfactor = 60)",
        OF_INDEXES.format("reloptions"),
    ),
    "parameters of the full text index": (
        f'ALTER INDEX "{relation.Names("trees", "").full_text_index}" SET (fastupdate = off)',
        OF_INDEXES.format("reloptions"),
    ),
    "statistics target of an index": (
        "CREATE INDEX i ON trees (name, (lower(name)), (length(name)));"
        "ALTER INDEX i ALTER COLUMN 2 SET STATISTICS 300, ALTER COLUMN 3 SET STATISTICS 0",
        OF_INDEXES.format(
            "ARRAY(SELECT coalesce(attstattarget, -1) FROM pg_attribute"
            " WHERE attrelid = c.oid ORDER BY attnum)"
        ),
    ),
    "comment of the primary key": (
        "COMMENT ON CONSTRAINT trees_pkey ON trees IS 'c'; COMMENT ON INDEX trees_pkey IS 'i'",
        OF_CONSTRAINTS.format(
            "obj_description(oid, 'pg_constraint'), obj_description(conindid, 'pg_class')"
        ),
    ),
    "constraint that is not valid": (
        "ALTER TABLE trees ADD CONSTRAINT high CHECK (height > 100) NOT VALID",
        OF_CONSTRAINTS.format("convalidated, pg_get_constraintdef(oid)"),
    ),
    "how the sequence counts": (
        "ALTER SEQUENCE trees__id_seq INCREMENT BY 10 CACHE 20 CYCLE",
        "SELECT seqincrement, seqcache, seqcycle FROM pg_sequence"
        " WHERE seqrelid = 'trees__id_seq'::regclass",
    ),
    "disabled triggers": (
        "ALTER TABLE trees DISABLE TRIGGER zfulltext",
        "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'trees'::regclass",
    ),
}


@pytest.mark.parametrize(("make", "query"), PROPERTIES.values(), ids=PROPERTIES)
def test_each_property_survives(url, database, make, query):
    def found() -> list[tuple]:
        return database.execute(query).fetchall()

    replace(url, "trees", COLUMNS, ROWS)
    plain = found()
    database.execute(make)
    before = found()
    assert before != plain
    rows = database.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'trees'::regclass AND attnum > 2"
    )
    columns = [(row[0], kind) for row, (_, kind) in zip(rows, COLUMNS, strict=True)]
    high = [("Elm", 200), ("Fir", 500)]
    for _ in range(2):
        assert replace(url, "trees", columns, high) == []
        assert found() == before


@pytest.mark.parametrize("kind", ["bigint", "text", "numeric", "date", "json", "boolean"])
def test_the_settings_of_a_column_whose_type_changes(url, database, kind):
    """Its storage is chosen by somebody, or the type's own, or the new type can have no other."""
    default = {"bigint": "p", "date": "p", "boolean": "p", "numeric": "m"}.get(kind, "x")
    chosen = "p" if default == "p" else "e"
    database.execute(
        "ALTER TABLE trees ALTER name SET STORAGE EXTERNAL, ALTER name SET COMPRESSION pglz,"
        " ALTER name SET STATISTICS 20, ALTER height SET STATISTICS 30"
    )
    assert replace(url, "trees", [("name", kind), ("height", kind)], [(None, None)]) == []
    settings = OF_COLUMNS.format("attstorage::text, attcompression::text, attstattarget")
    compression = "" if default == "p" else "p"
    assert database.execute(settings).fetchall()[2:] == [
        ("height", default, "", 30),
        ("name", chosen, compression, 20),
    ]


def test_settings_are_there_before_the_rows(datastore_url, database, tmp_path):
    """Values are stored, and analysed, by them; those taken back meanwhile do not come again."""
    source = tmp_path / "t.csv"
    source.write_text("name,note\n" + f"{'x' * 10_000},{'y' * 10_000}\n" * 10)
    options = Options("t", datastore_url)
    load(str(source), options)
    database.execute(
        "ALTER TABLE t ALTER name SET STORAGE EXTERNAL, ALTER name SET (n_distinct = 77),"
        " ALTER note SET (n_distinct = 5), ALTER note SET STORAGE EXTERNAL"
    )
    take_back = "ALTER TABLE t ALTER note RESET (n_distinct), ALTER note SET STORAGE EXTENDED"
    act = AtStep("swapping the tables", lambda: database.execute(take_back))
    load(str(source), options, act)
    assert database.execute("SELECT DISTINCT pg_column_size(name) FROM t").fetchall() == [(10_000,)]
    distinct = "SELECT n_distinct FROM pg_stats WHERE tablename = 't' AND attname = 'name'"
    assert database.execute(distinct).fetchone() == (77,)
    settings = OF_COLUMNS.format("attstorage::text, attoptions").replace("trees", "t")
    assert database.execute(settings).fetchall()[2:] == [
        ("name", "e", ["n_distinct=77"]),
        ("note", "x", None),
    ]


# What is left behind, and how a warning calls it.
LEFT_BEHIND = {
    "statistics object": ("CREATE STATISTICS s ON name, height FROM trees", "statistics object s"),
    "collation": ('ALTER TABLE trees ALTER name TYPE text COLLATE "C"', "the collation of name"),
    "unlogged": ("ALTER TABLE trees SET UNLOGGED", "that it is unlogged"),
    "identity": (
        "ALTER TABLE trees ALTER height SET NOT NULL,"
        " ALTER height ADD GENERATED BY DEFAULT AS IDENTITY",
        "the identity of height",
    ),
    "generated": (
        "ALTER TABLE trees DROP height, ADD height bigint GENERATED ALWAYS AS (1) STORED",
        "that height is generated",
    ),
    "type of _id": ("ALTER TABLE trees ALTER _id TYPE bigint", "the type bigint of _id"),
    "default of _id": (
        "CREATE SEQUENCE s; ALTER TABLE trees ALTER _id SET DEFAULT nextval('s')",
        "the default nextval('s'::regclass) of _id",
    ),
    "NOT NULL of _full_text": (
        "ALTER TABLE trees ALTER _full_text SET NOT NULL",
        "NOT NULL of _full_text",
    ),
    "domain": (
        "CREATE DOMAIN d AS text CHECK (value <> 'x'); ALTER TABLE trees ALTER name TYPE d",
        "the domain d of name",
    ),
    "name of the key": (
        "ALTER TABLE trees RENAME CONSTRAINT trees_pkey TO k",
        "the name k of the primary key",
    ),
    "deferrable key": (
        "ALTER TABLE trees DROP CONSTRAINT trees_pkey, ADD PRIMARY KEY (_id) DEFERRABLE",
        "the PRIMARY KEY (_id) DEFERRABLE",
    ),
    "an index that goes with an extension": (
        "CREATE INDEX i ON trees (name); ALTER INDEX i DEPENDS ON EXTENSION plpgsql",
        "that index i goes with the extension plpgsql",
    ),
    "a trigger that does": (
        "ALTER TRIGGER zfulltext ON trees DEPENDS ON EXTENSION plpgsql",
        "that trigger zfulltext on table trees goes with the extension plpgsql",
    ),
    "access method": (
        "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;"
        " CREATE TABLE new (LIKE trees INCLUDING INDEXES) USING other; DROP TABLE trees;"
        " ALTER TABLE new RENAME TO trees; ALTER INDEX new_pkey RENAME TO trees_pkey;"
        " CREATE SEQUENCE trees__id_seq OWNED BY trees._id",
        "the access method other",
    ),
    "of a type": (
        "DROP TABLE trees; CREATE TYPE tree AS (_id int, _full_text tsvector, name text, height"
        " bigint); CREATE TABLE trees OF tree (PRIMARY KEY (_id));"
        " CREATE SEQUENCE trees__id_seq OWNED BY trees._id",
        "that it is of the type tree",
    ),
}


@pytest.mark.parametrize(("make", "called"), LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_what_is_left_behind_is_told_once(url, database, make, called):
    database.execute(make)
    (warning,) = replace(url, "trees", COLUMNS, ROWS)
    assert warning == f"not carried over from the old table: {called}"
    assert replace(url, "trees", COLUMNS, ROWS) == []
    assert rows_of(database, "trees") == ROWS


def test_a_tablespace_is_told(url_18, database_18):
    name = f"space_{uuid.uuid4().hex[:8]}"
    database_18.execute("SET allow_in_place_tablespaces = on")
    database_18.execute(f"CREATE TABLESPACE {name} LOCATION ''")
    try:
        database_18.execute(
            f"ALTER TABLE trees SET TABLESPACE {name};"
            f"CREATE INDEX i ON trees (name) TABLESPACE {name}"
        )
        (warning,) = replace(url_18, "trees", COLUMNS, ROWS)
        assert f"tablespace {name}, tablespace {name} of the index i" in warning
    finally:
        database_18.execute("DROP TABLE trees")
        database_18.execute(f"DROP TABLESPACE {name}")


@pytest.fixture
def writer(datastore_url_18, database_18) -> Iterator[sql.Identifier]:
    """CKAN's write role, which owns the trees; loads act as this role."""
    name = f'write "{uuid.uuid4().hex[:8]}"'
    writer = sql.Identifier(name)
    database_18.execute(sql.SQL("CREATE ROLE {}").format(writer))
    install_ckan(database_18, name)
    grant = sql.SQL("GRANT CREATE ON DATABASE {} TO {}")
    database_18.execute(grant.format(sql.Identifier(database_18.info.dbname), writer))
    database_18.execute(sql.SQL("SET ROLE {}").format(writer))
    create(database_18, "trees", "name text, height bigint", "('Oak', 12), ('Ash', 9)")
    yield writer
    database_18.execute(
        sql.SQL(
            "RESET ROLE; REASSIGN OWNED BY {0} TO postgres; DROP OWNED BY {0}; DROP ROLE {0}"
        ).format(writer)
    )


def test_the_rights_of_ckans_write_role_are_enough(datastore_url_18, database_18, writer):
    database_18.execute(ALL_AT_ONCE)
    before = everything(database_18)
    assert replace(datastore_url_18, "trees", COLUMNS, ROWS) == []
    assert everything(database_18) == before
    assert rows_of(database_18, "alias") == ROWS


OUT_OF_REACH = {
    "of another role": ("CREATE VIEW v AS SELECT name FROM trees", "v, which belongs to postgres"),
    "in a schema of another role": (
        "CREATE SCHEMA s; CREATE VIEW s.v AS SELECT name FROM trees; ALTER VIEW s.v OWNER TO {0}",
        "s.v, in a schema where this role may not create",
    ),
}


@pytest.mark.parametrize(("make", "named"), OUT_OF_REACH.values(), ids=OUT_OF_REACH)
def test_a_view_that_the_role_cannot_make_again_is_named(
    datastore_url_18, database_18, writer, make, named
):
    database_18.execute("RESET ROLE")
    database_18.execute(sql.SQL(make).format(writer))
    names = relation.name("trees")
    with (
        closing(connections.connect(datastore_url_18, "test")) as connection,
        pytest.raises(DependentObjects, match=named),
    ):
        live_table.check(relation.Relation(connection, names))


def test_an_owner_that_cannot_be_kept_keeps_its_rights_and_is_told(
    datastore_url_18, database_18, writer
):
    """A role that may not create in the schema can be given no table by a mere member."""
    name = f'owner "{uuid.uuid4().hex[:8]}"'
    owner = sql.Identifier(name)
    database_18.execute("RESET ROLE")
    database_18.execute(
        sql.SQL("CREATE ROLE {0}; GRANT {0} TO {1}; ALTER TABLE trees OWNER TO {0}").format(
            owner, writer
        )
    )
    told = f"not carried over from the old table: the owner {owner.as_string(None)}"
    assert replace(datastore_url_18, "trees", COLUMNS, ROWS) == [told]
    may = database_18.execute("SELECT has_table_privilege(%s, 'trees', 'SELECT, INSERT')", (name,))
    assert may.fetchone() == (True,)
    database_18.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(owner))


def test_an_alias_has_the_new_columns(url, database):
    """Also one that CKAN made before a column was added to the table."""
    database.execute("CREATE VIEW alias AS SELECT * FROM trees; ALTER TABLE trees ADD added text")
    replace(url, "trees", [("height", "text"), ("new", "bigint")], [("high", 1)])
    assert database.execute("SELECT * FROM alias").fetchall() == [
        (1, *full_text(database), "high", 1)
    ]
    assert database.execute(
        "SELECT alias_of FROM _table_metadata WHERE name = 'alias'"
    ).fetchall() == [("trees",)]


def full_text(database):
    return database.execute("SELECT _full_text FROM trees").fetchone()


# A view over the table, columns with which it cannot be, and why.
IMPOSSIBLE = {
    "a column is gone": (
        "CREATE VIEW v AS SELECT name, height FROM trees",
        [("name", "text")],
        'column "height" does not exist',
    ),
    "another type": (
        "CREATE VIEW v AS SELECT height + 1 AS n FROM trees",
        [("name", "text"), ("height", "text")],
        "operator does not exist",
    ),
    "gone from an alias": (
        "CREATE VIEW alias AS SELECT * FROM trees; CREATE VIEW v AS SELECT height FROM alias",
        [("name", "text")],
        'column "height" does not exist',
    ),
    "in another schema": (
        "CREATE SCHEMA s; CREATE VIEW s.v AS SELECT height FROM trees",
        [("name", "text")],
        'column "height" does not exist',
    ),
}


@pytest.mark.parametrize(("make", "columns", "why"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_view_that_cannot_be_is_named_before_the_rows_are_read(
    url_18, database_18, make, columns, why
):
    database_18.execute(make)
    with closing(connections.connect(url_18, "test")) as connection:
        trees = relation.Relation(connection, relation.name("trees"))
        shadow.create(trees, [Column(*column) for column in columns], None)
        with pytest.raises(DependentObjects) as refused:
            views.check(trees)
        assert f"the view v cannot be made over the new columns: {why}" in str(refused.value)
        assert refused.value.hint
        shadow.add_primary_key(trees)
        with pytest.raises(DependentObjects, match=why.split('"')[0]):
            swap.swap(trees, 0)
    assert rows_of(database_18, "trees") == [("Oak", 12), ("Ash", 9)]


def test_a_view_that_comes_late_and_cannot_be_stops_the_swap(url_18, database_18, monkeypatch):
    """Under the lock it is found too: the old table stays."""
    monkeypatch.setattr(
        views, "check", lambda *_: database_18.execute("CREATE VIEW v AS SELECT height FROM trees")
    )
    with pytest.raises(DependentObjects, match="the view v"):
        replace(url_18, "trees", [("name", "text")], [("Elm",)])
    assert database_18.execute("SELECT sum(height) FROM v").fetchone() == (21,)


def test_the_lock_of_a_view_is_not_one_of_all_that_it_reads(url_18, database_18, monkeypatch):
    """A reader of somebody else's table need not wait, nor be waited for."""
    monkeypatch.setattr(locks, "GIVE_UP_AFTER_S", 5.0)
    database_18.execute(
        "CREATE TABLE other (n int); CREATE VIEW v AS SELECT name, n FROM trees, other"
    )
    with psycopg.connect(url_18) as reader:
        reader.execute("SELECT * FROM other")
        replace(url_18, "trees", COLUMNS, ROWS)
    assert database_18.execute("SELECT count(*) FROM v").fetchone() == (0,)


def test_who_reads_the_alias_in_a_transaction_is_waited_for(url_18, database_18):
    database_18.execute("CREATE VIEW alias AS SELECT * FROM trees")
    with psycopg.connect(url_18) as reader:
        assert reader.execute("SELECT count(*) FROM alias").fetchone() == (2,)
        loading = threading.Thread(target=replace, args=(url_18, "trees", COLUMNS, ROWS))
        loading.start()
        loading.join(1)
        assert loading.is_alive()
        assert reader.execute("SELECT count(*) FROM trees").fetchone() == (2,)
    loading.join()
    assert database_18.execute("SELECT count(*) FROM alias").fetchone() == (3,)


def test_a_unique_key_that_the_file_breaks(url, database):
    database.execute('CREATE UNIQUE INDEX "my key" ON trees (name, height)')
    with pytest.raises(KeyViolated, match=r'"my key".*\(name, height\)=\(Elm, 1\)') as refused:
        replace(url, "trees", COLUMNS, [("Elm", 1), ("Fir", 1), ("Elm", 1)])
    assert refused.value.hint
    assert rows_of(database, "trees") == [("Oak", 12), ("Ash", 9)]
    assert shadows(database) == []


RULES = {
    "check": ("ALTER TABLE trees ADD CONSTRAINT low CHECK (height < 50)", "constraint low"),
    "not null": ("ALTER TABLE trees ALTER name SET NOT NULL", "NOT NULL of name"),
}


@pytest.mark.parametrize(("make", "named"), RULES.values(), ids=RULES)
def test_a_rule_that_the_file_breaks(url_18, database_18, make, named):
    database_18.execute(make)
    with pytest.raises(RowRefused, match=named):
        replace(url_18, "trees", COLUMNS, [(None, 51)])
    assert rows_of(database_18, "trees") == [("Oak", 12), ("Ash", 9)]


def test_what_the_new_columns_do_not_allow_is_left_out_and_told(url, database):
    database.execute(
        "CREATE INDEX kept ON trees (name);"
        'CREATE INDEX "by height" ON trees (height);'
        "CREATE UNIQUE INDEX two ON trees (height, name);"
        "CREATE INDEX longer ON trees ((length(name)));"
        "ALTER TABLE trees ADD CONSTRAINT low CHECK (height < 50)"
    )
    warnings = replace(url, "trees", [("name", "bigint")], [(1,)])
    (type_does_not_do,) = [each for each in warnings if each.startswith("left out: index longer: ")]
    assert warnings == [
        'left out: index "by height", which uses height: not in the file',
        type_does_not_do,
        "left out: index two, which uses height: not in the file",
        "left out: constraint low, which uses height: not in the file",
    ]
    assert "CREATE INDEX kept ON public.trees USING btree (name)" in indexes(database)


def test_an_index_made_during_the_load_is_built_before_the_tables_are_locked(
    url_18, database_18, monkeypatch
):
    built = []
    build = building.build

    def late(filled, key=()):
        if built:
            # Nobody waits for it: the swap has given up its locks.
            held = filled.connection.execute(
                "SELECT count(*) FROM pg_locks WHERE relation = 'trees'::regclass"
            ).fetchone()
            assert held == (0,)
        warnings = build(filled, key)
        if not built:
            database_18.execute("CREATE INDEX late ON trees (height)")
        built.append(filled)
        return warnings

    monkeypatch.setattr(building, "build", late)
    assert replace(url_18, "trees", COLUMNS, ROWS) == []
    assert len(built) == 2
    assert "CREATE INDEX late ON public.trees USING btree (height)" in indexes(database_18)


def test_comments_made_during_the_load_stay(url_18, database_18, monkeypatch):
    monkeypatch.setattr(
        views,
        "check",
        lambda *_: database_18.execute("COMMENT ON COLUMN trees.height IS 'late'"),
    )
    replace(url_18, "trees", COLUMNS, ROWS)
    assert database_18.execute("SELECT col_description('trees'::regclass, 4)").fetchone() == (
        "late",
    )


def test_a_key_that_is_asked_for_is_as_ckan_makes_it(url_18, database_18):
    for table in ("trees", "new"):
        assert replace(url_18, table, COLUMNS, ROWS, key=["name", "height"]) == []
        rows = database_18.execute(
            "SELECT indexname FROM pg_indexes"
            " WHERE tablename = %s AND indexdef LIKE 'CREATE UNIQUE%%(name, height)'",
            (table,),
        ).fetchall()
        # As ckanext.datastore names it.
        digest = hashlib.sha1(f'{table}"name", "height"'.encode(), usedforsecurity=False)
        assert rows == [(digest.hexdigest(),)]
    # It is there already, in another order.
    assert replace(url_18, "trees", COLUMNS, ROWS, key=["height", "name"]) == []


def test_a_key_that_is_asked_for_takes_the_place_of_others(url_18, database_18):
    database_18.execute("CREATE UNIQUE INDEX old ON trees (name)")
    warnings = replace(url_18, "trees", COLUMNS, ROWS, key=["height"])
    assert warnings == ["left out: the unique key (name), for (height)"]
    assert len([index for index in indexes(database_18) if "UNIQUE" in index]) == 2


def test_a_key_that_cannot_be(url_18):
    with pytest.raises(KeyViolated, match=r"\(height\)=\(1\)"):
        replace(url_18, "trees", COLUMNS, [("a", 1), ("b", 1)], key=["height"])
    with pytest.raises(UsageError, match="nome"):
        replace(url_18, "trees", COLUMNS, ROWS, key=["nome"])


UPPER = """
    CREATE FUNCTION upper_name() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.height < 0 THEN RAISE EXCEPTION 'no tree is %', NEW.height; END IF;
        NEW.name := upper(NEW.name) || coalesce(TG_ARGV[0], '');
        RETURN NEW;
    END $$;
    CREATE TRIGGER t000 BEFORE INSERT OR UPDATE ON trees
        FOR EACH ROW EXECUTE FUNCTION upper_name(' pine')
"""


def test_triggers_act_on_the_rows_that_are_loaded(url, database):
    database.execute(UPPER)
    replace(url, "trees", COLUMNS, [("Elm", 20)])
    assert rows_of(database, "trees") == [("ELM pine", 20)]
    found = "SELECT count(*) FROM trees WHERE _full_text @@ to_tsquery('pine & 20')"
    assert database.execute(found).fetchone() == (1,)
    database.execute("INSERT INTO trees (name) VALUES ('Fir')")
    assert database.execute(found.replace("20", "fir")).fetchone() == (1,)


def test_triggers_that_sleep_do_not_act(url_18, database_18):
    database_18.execute(UPPER + "; ALTER TABLE trees DISABLE TRIGGER t000")
    replace(url_18, "trees", COLUMNS, ROWS)
    assert rows_of(database_18, "trees") == ROWS


def test_a_trigger_that_refuses_a_row_is_heard(url_18, database_18):
    database_18.execute(UPPER)
    with (
        closing(connections.connect(url_18, "test")) as connection,
        pytest.raises(RowRefused, match="no tree is -1"),
        connections.ours("copying rows"),
    ):
        fill_shadow(connection, "trees", COLUMNS, [("Elm", -1)], triggers=True)


def test_a_trigger_made_during_the_load_is_kept_and_told(url_18, database_18, monkeypatch):
    monkeypatch.setattr(views, "check", lambda *_: database_18.execute(UPPER))
    warnings = replace(url_18, "trees", COLUMNS, ROWS)
    assert warnings == ["the trigger t000 came during the load: it has not seen the rows loaded"]
    assert rows_of(database_18, "trees") == ROWS
    database_18.execute("INSERT INTO trees (name) VALUES ('Fir')")
    assert rows_of(database_18, "trees")[-1][0] == "FIR pine"


def test_a_trigger_dropped_during_the_load_is_gone(url_18, database_18, monkeypatch):
    database_18.execute(UPPER)
    monkeypatch.setattr(
        views, "check", lambda *_: database_18.execute("DROP TRIGGER t000 ON trees")
    )
    replace(url_18, "trees", COLUMNS, ROWS)
    triggers = database_18.execute("SELECT tgname FROM pg_trigger").fetchall()
    assert triggers == [("zfulltext",)]


def test_a_trigger_on_a_column_that_is_gone_is_named_before_the_rows_are_read(url_18, database_18):
    database_18.execute(UPPER.replace("INSERT OR UPDATE", "INSERT OR UPDATE OF height"))
    with pytest.raises(DependentObjects, match=r"trigger t000 \(uses the column height"):
        replace(url_18, "trees", [("name", "text")], [("Elm",)])
    assert rows_of(database_18, "trees") == [("Oak", 12), ("Ash", 9)]


def test_ckan_is_told_the_number_of_rows(url, database):
    database.execute("SELECT cached_table_row_count('trees')")
    database.execute("""UPDATE _table_stats SET stats = '{"rows": 2, "more": 1}'""")
    replace(url, "trees", COLUMNS, ROWS)
    assert database.execute("SELECT stats FROM _table_stats").fetchall() == [
        ({"rows": 3, "more": 1},)
    ]
    replace(url, "new", COLUMNS, ROWS[:1])
    assert database.execute("SELECT cached_table_row_count('new')").fetchone() == (1,)
