-- Locks a table's TOAST table too, which LOCK TABLE cannot: the statement changes nothing.
SELECT coalesce((
    SELECT format('SET (toast.%I = %L)', option_name, option_value)
    FROM pg_class t, pg_options_to_table(t.reloptions)
    WHERE t.oid = c.reltoastrelid LIMIT 1
), 'RESET (toast.autovacuum_enabled)')
FROM pg_class c WHERE c.oid = to_regclass(%(table)s)
