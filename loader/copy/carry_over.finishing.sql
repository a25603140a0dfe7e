-- The statements that finish the new table once it has the live one's name, in their order.
WITH pair AS (
    SELECT l.oid AS live, s.oid AS shadow,
        format('%I.%I', %(schema)s::text, l.relname) AS live_name,
        format('%I.%I', %(schema)s::text, s.relname) AS shadow_name,
        %(prefix)s::text AS prefix
    FROM pg_class l, pg_class s
    WHERE l.oid = to_regclass(%(live)s) AND s.oid = to_regclass(%(shadow)s)
),
trigger AS (
    SELECT t.* FROM pair JOIN pg_trigger t ON t.tgrelid = live WHERE NOT tgisinternal
),
index AS (
    SELECT i.*, c.relname AS name, prefix || left(md5(c.relname), 12) AS temporary
    FROM pair JOIN pg_index i ON i.indrelid = live JOIN pg_class c ON c.oid = i.indexrelid
),
carried AS (
    SELECT i.*, i.name IN (%(full_text)s, %(primary_key)s) AS is_named FROM pair, index i
    WHERE i.name IN (%(full_text)s, %(primary_key)s) OR EXISTS (
        SELECT FROM pg_index s JOIN pg_class c ON c.oid = s.indexrelid
        WHERE s.indrelid = shadow AND c.relname = temporary)
),
"constraint" AS (
    SELECT k.*, prefix || left(md5(conname), 12) AS temporary
    FROM pair JOIN pg_constraint k ON k.conrelid = live
),
statement (step, text) AS (
    SELECT 1, format('DROP TRIGGER %I ON %s', s.tgname, live_name)
    FROM pair JOIN pg_trigger s ON s.tgrelid = shadow WHERE NOT s.tgisinternal
        AND (s.tgname <> 'zfulltext' OR 'zfulltext' IN (SELECT tgname FROM trigger))
    UNION ALL SELECT 2, pg_get_triggerdef(oid) FROM trigger
    UNION ALL SELECT 3, format('ALTER TABLE %s %s TRIGGER %I', live_name, CASE tgenabled
        WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, tgname)
    FROM pair, trigger WHERE tgenabled <> 'O'
    UNION ALL SELECT 3, format('COMMENT ON TRIGGER %I ON %s IS %L', tgname, live_name,
        obj_description(oid, 'pg_trigger'))
    FROM pair, trigger WHERE obj_description(oid, 'pg_trigger') IS NOT NULL
    UNION ALL SELECT 1, format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', live_name,
        s.conname, k.conname)
    FROM pair JOIN pg_constraint s ON s.conrelid = shadow
    JOIN "constraint" k ON k.temporary = s.conname
    UNION ALL SELECT 3, format('COMMENT ON CONSTRAINT %I ON %s IS %L', k.conname, live_name,
        obj_description(k.oid, 'pg_constraint'))
    FROM pair JOIN pg_constraint s ON s.conrelid = shadow
    JOIN "constraint" k ON s.conname IN (k.temporary, k.conname)
    WHERE obj_description(k.oid, 'pg_constraint') IS NOT NULL
    UNION ALL SELECT 1, format('ALTER INDEX %I.%I RENAME TO %I', %(schema)s::text,
        temporary, name)
    FROM carried WHERE NOT is_named AND NOT EXISTS (
        SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('u', 'x'))
    UNION ALL SELECT 3, format('COMMENT ON INDEX %I.%I IS %L', %(schema)s::text, name,
        obj_description(indexrelid, 'pg_class'))
    FROM carried WHERE obj_description(indexrelid, 'pg_class') IS NOT NULL
    -- Those of an expression, which is a column of the index only.
    UNION ALL SELECT 3, format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s',
        %(schema)s::text, name, attnum, attstattarget)
    FROM carried JOIN pg_attribute ON attrelid = indexrelid
    WHERE NOT is_named AND attstattarget >= 0
    -- All others have them in their definition.
    UNION ALL SELECT 3, format('ALTER INDEX %I.%I SET (%I = %L)', %(schema)s::text, name,
        option_name, option_value)
    FROM pair, carried JOIN pg_class c ON c.oid = indexrelid, pg_options_to_table(reloptions)
    WHERE is_named AND EXISTS (SELECT FROM pg_index i JOIN pg_class s ON s.oid = i.indexrelid
        WHERE i.indrelid = shadow AND s.relam = c.relam AND s.relname
            = prefix || CASE name WHEN %(full_text)s THEN 'fts' ELSE 'pkey' END)
    UNION ALL SELECT 3, format('COMMENT ON CONSTRAINT %I ON %s IS %L', conname, live_name,
        obj_description(oid, 'pg_constraint'))
    FROM pair, "constraint" WHERE conname = %(primary_key)s AND contype = 'p'
        AND obj_description(oid, 'pg_constraint') IS NOT NULL
    UNION ALL SELECT 3, format('ALTER TABLE %s CLUSTER ON %I', live_name, name)
    FROM pair, carried WHERE indisclustered
    UNION ALL SELECT 3, format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', live_name,
        name)
    FROM pair, carried WHERE indisreplident
    UNION ALL SELECT 3, format('ALTER TABLE %s REPLICA IDENTITY %s', live_name,
        CASE relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)
    FROM pair JOIN pg_class ON oid = live WHERE relreplident IN ('f', 'n')
    UNION ALL SELECT 1, format('ALTER INDEX %I.%I RENAME TO %I', %(schema)s::text,
        prefix || 'key', %(key_name)s::text)
    FROM pair WHERE %(key_name)s::text IS NOT NULL
)
SELECT text FROM statement ORDER BY step, text
