-- The live table's triggers that act on each row put in, with the statement that makes the same
-- on the shadow. Everything up to the table's name can be told from the catalog, so that exactly
-- this is replaced.
WITH pair AS (
    SELECT l.oid AS live, s.oid AS shadow,
        format('%I.%I', %(schema)s::text, l.relname) AS live_name,
        format('%I.%I', %(schema)s::text, s.relname) AS shadow_name,
        %(prefix)s::text AS prefix
    FROM pg_class l, pg_class s
    WHERE l.oid = to_regclass(%(live)s) AND s.oid = to_regclass(%(shadow)s)
)
SELECT tgname, tgfoid, format('CREATE TRIGGER %I BEFORE INSERT ON %s ', tgname, shadow_name)
    || right(pg_get_triggerdef(t.oid), -length(format(
        'CREATE TRIGGER %I BEFORE %s ON %s ', tgname,
        concat_ws(' OR ', 'INSERT', CASE WHEN tgtype & 8 > 0 THEN 'DELETE' END,
            CASE WHEN tgtype & 16 > 0 THEN 'UPDATE' || coalesce((
                SELECT ' OF ' || string_agg(quote_ident(attname), ', ' ORDER BY number)
                FROM unnest(tgattr::int2[]) WITH ORDINALITY u (attnum, number)
                JOIN pg_attribute a ON a.attrelid = live AND a.attnum = u.attnum
            ), '') END), live_name)))
FROM pair JOIN pg_trigger t ON t.tgrelid = live
WHERE tgtype & 7 = 7 AND tgenabled IN ('O', 'A') AND NOT tgisinternal
    AND tgname <> 'zfulltext'
ORDER BY tgname
