"""What CKAN puts into a DataStore database, as far as a load meets it; and loads step by step."""

import time
from collections.abc import Sequence
from contextlib import closing

import psycopg
from psycopg import sql

from loader.copy import database as connections
from loader.copy import fulltext, indexes, shadow, swap
from loader.copy import triggers as triggers_
from loader.copy.relation import Relation, name
from loader.types.column import Column

# name: columns and types, rows
Columns = Sequence[tuple[str, str]]
Rows = Sequence[tuple]


def install_trigger_function(connection: psycopg.Connection) -> None:
    """Create the function of CKAN's full text trigger, as `ckan datastore set-permissions` does."""
    connection.execute(
        r"""
        CREATE OR REPLACE FUNCTION public.populate_full_text_trigger() RETURNS trigger
        LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW._full_text IS NULL THEN
                NEW._full_text := (
                    SELECT to_tsvector(string_agg(value, ' '))
                    FROM json_each_text(row_to_json(NEW.*))
                    WHERE key NOT LIKE '\_%'
                );
            END IF;
            RETURN NEW;
        END
        $$
        """
    )


def install_ckan(connection: psycopg.Connection, owner: str = "postgres") -> None:
    """Do to a database what CKAN 2.12 and its `set-permissions` do; the write role owns all."""
    install_trigger_function(connection)
    connection.execute(
        r"""
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
        CREATE TYPE public.nested AS (json json, extra text);
        CREATE VIEW public._table_metadata AS
            SELECT DISTINCT substr(md5(t.relname || coalesce(base.relname, '')), 1, 16) AS _id,
                t.relname AS name, t.oid AS oid, base.relname AS alias_of
            FROM pg_class t
            LEFT JOIN pg_rewrite r ON r.ev_class = t.oid
            LEFT JOIN pg_depend d ON d.objid = r.oid
            LEFT JOIN pg_class base ON base.oid = d.refobjid
            WHERE t.relkind IN ('r', 'v') AND t.relnamespace = 'public'::regnamespace
                AND base.oid IS DISTINCT FROM t.oid AND left(t.relname, 1) <> '_'
            ORDER BY t.oid DESC;
        CREATE TABLE public._table_stats (resource_id name PRIMARY KEY, stats jsonb NOT NULL);
        CREATE FUNCTION public.update_cached_table_row_count(table_name name) RETURNS bigint
        LANGUAGE plpgsql AS $$
        DECLARE counted bigint;
        BEGIN
            EXECUTE format('SELECT count(*) FROM public.%I', table_name) INTO counted;
            INSERT INTO public._table_stats AS s
                VALUES (table_name, jsonb_build_object('rows', counted))
                ON CONFLICT (resource_id) DO UPDATE
                SET stats = jsonb_set(s.stats, '{rows}', to_jsonb(counted));
            RETURN counted;
        END
        $$;
        CREATE FUNCTION public.cached_table_row_count(table_name name) RETURNS bigint
        LANGUAGE sql AS $$
            SELECT coalesce(
                (SELECT (stats ->> 'rows')::bigint FROM public._table_stats
                    WHERE resource_id = table_name),
                public.update_cached_table_row_count(table_name))
        $$;
        """
    )
    for thing in (
        "SCHEMA public",
        "TYPE nested",
        "VIEW _table_metadata",
        "TABLE _table_stats",
        "FUNCTION populate_full_text_trigger()",
        "FUNCTION update_cached_table_row_count(name)",
        "FUNCTION cached_table_row_count(name)",
    ):
        connection.execute(
            sql.SQL("ALTER {} OWNER TO {}").format(sql.SQL(thing), sql.Identifier(owner))
        )


def create(connection: psycopg.Connection, table: str, columns: str, rows: str = "") -> None:
    """Create a table as datastore_create does, from SQL's columns and values."""
    quoted = '"' + table.replace('"', '""') + '"'
    connection.execute(
        f"CREATE TABLE {quoted} (_id serial PRIMARY KEY, _full_text tsvector, {columns});"
        f"CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON {quoted}"
        " FOR EACH ROW EXECUTE PROCEDURE populate_full_text_trigger()"
    )
    if rows:
        names = ", ".join(column.split()[0] for column in columns.split(", "))
        connection.execute(f"INSERT INTO {quoted} ({names}) VALUES {rows}")


def fill_shadow(
    connection: psycopg.Connection,
    table: str,
    columns: Columns,
    rows: Rows,
    *,
    triggers: bool = False,
) -> Relation:
    """Begin a load of these rows: the shadow has them all, by COPY, and no key yet."""
    relation = Relation(connection, name(table))
    config, time_zone = fulltext.settings(connection)
    made = [Column(*column) for column in columns]
    expression = fulltext.expression(made, "all", config, time_zone, literals=True)
    shadow.create(relation, made, expression)
    if triggers:
        triggers_.copy_to_shadow(relation)
    listed = sql.SQL(", ").join(sql.Identifier(name) for name in ("_id", *(c for c, _ in columns)))
    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(relation.shadow, listed)
    with connection.cursor() as cursor, cursor.copy(copy) as stream:
        for number, row in enumerate(rows, 1):
            stream.write_row((number, *row))
    shadow.finish_full_text(relation)
    return relation


def replace(
    url: str, table: str, columns: Columns, rows: Rows, key: Sequence[str] = ()
) -> list[str]:
    """Replace a table by these rows, in the steps of a load; return the warnings."""
    with closing(connections.connect(url, "test")) as connection:
        relation = fill_shadow(connection, table, columns, rows, triggers=True)
        try:
            shadow.add_primary_key(relation)
            warnings = indexes.build(relation, key)
            names = relation.names
            shadow.add_full_text_index(
                connection, names.shadow, names.shadow_full_text_index, "gin"
            )
            triggers_.add_full_text(relation)
            warnings += swap.swap(relation, len(rows), len(rows)).warnings
            return list(dict.fromkeys(warnings))
        finally:
            shadow.drop(relation)


def shadows(connection: psycopg.Connection) -> list[str]:
    """Return the tables that loads fill, or have left behind."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE '\\_aircan\\_%'"
    )
    return [row[0] for row in rows]


def rows_of(connection: psycopg.Connection, table: str) -> list[tuple]:
    """Return all rows in the order of `_id`, without `_id` and `_full_text`."""
    cursor = connection.execute(f'SELECT * FROM "{table}" ORDER BY _id')
    return [row[2:] for row in cursor]


def stall(connection: psycopg.Connection, pattern: str) -> None:
    """Let every DDL statement of a load that is LIKE the pattern sleep for a minute."""
    connection.execute(
        "CREATE FUNCTION stall() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF current_query() LIKE '{pattern}' THEN PERFORM pg_sleep(60); END IF; END $$"
    )
    connection.execute("CREATE EVENT TRIGGER stall ON ddl_command_start EXECUTE FUNCTION stall()")


def unstall(connection: psycopg.Connection) -> None:
    """Let loads run again."""
    connection.execute("DROP EVENT TRIGGER stall")
    connection.execute("DROP FUNCTION stall")


def wait_for(connection: psycopg.Connection, condition: str, seconds: float = 60) -> None:
    """Wait until some other session of the database is as the SQL condition says."""
    end = time.monotonic() + seconds
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        f" AND pid <> pg_backend_pid() AND ({condition})"
    )
    while connection.execute(query).fetchone() == (0,):
        assert time.monotonic() < end, f"no session where {condition}"
        time.sleep(0.02)
