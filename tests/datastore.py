"""What CKAN puts into a DataStore database, as far as a load meets it."""

import time

import psycopg


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
