-- A table's TOAST table and indexes are locked with it, and so are the views over it. What else
-- these read is only ever read.
WITH RECURSIVE named AS (
    SELECT to_regclass(name)::oid AS oid FROM unnest(%(tables)s::text[]) AS name
),
viewed (oid) AS (
    SELECT oid FROM named
    UNION
    SELECT r.ev_class FROM viewed v
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid
    JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
),
concerned (oid, mode) AS (
    SELECT oid, NULL FROM viewed
    UNION SELECT reltoastrelid, NULL FROM pg_class JOIN named USING (oid)
    UNION SELECT indexrelid, NULL FROM pg_index JOIN named ON indrelid = named.oid
    UNION SELECT d.refobjid, 'AccessExclusiveLock' FROM viewed v
    JOIN pg_rewrite r ON r.ev_class = v.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass
)
SELECT DISTINCT pid, usename, application_name, state, backend_type
FROM pg_locks l JOIN concerned c ON c.oid = l.relation AND l.mode = coalesce(c.mode, l.mode)
LEFT JOIN pg_stat_activity USING (pid)
WHERE locktype = 'relation' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY pid
