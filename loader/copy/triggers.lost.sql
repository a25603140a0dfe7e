-- Triggers that use columns which are gone: Postgres would refuse such a trigger in the swap.
WITH pair AS (
    SELECT l.oid AS live, s.oid AS shadow,
        format('%I.%I', %(schema)s::text, l.relname) AS live_name,
        format('%I.%I', %(schema)s::text, s.relname) AS shadow_name,
        %(prefix)s::text AS prefix
    FROM pg_class l, pg_class s
    WHERE l.oid = to_regclass(%(live)s) AND s.oid = to_regclass(%(shadow)s)
)
SELECT DISTINCT 'trigger ' || quote_ident(tgname) || ' (uses the column '
    || quote_ident(a.attname) || ')'
FROM pair JOIN pg_trigger t ON t.tgrelid = live AND NOT tgisinternal
JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = live
JOIN pg_attribute a ON a.attrelid = live AND a.attnum = d.refobjsubid
WHERE d.refobjsubid > 0 AND NOT EXISTS (
    SELECT FROM pg_attribute b WHERE b.attrelid = shadow AND b.attname = a.attname)
ORDER BY 1
