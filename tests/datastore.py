"""What CKAN puts into a DataStore database, as far as a load meets it."""

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
