-- What the live table has and the shadow is to get: indexes, unique keys, constraints, NOT NULL,
-- defaults. Each with its statement, the columns that it uses and the shadow lacks, and whether it
-- is there already. A temporary name holds the hash of the final one: nobody has to remember
-- which is whose.
WITH pair AS (
    SELECT l.oid AS live, s.oid AS shadow,
        format('%I.%I', %(schema)s::text, l.relname) AS live_name,
        format('%I.%I', %(schema)s::text, s.relname) AS shadow_name,
        %(prefix)s::text AS prefix
    FROM pg_class l, pg_class s
    WHERE l.oid = to_regclass(%(live)s) AND s.oid = to_regclass(%(shadow)s)
),
index AS (
    SELECT c.oid, c.relname AS name, i.indisunique AS is_unique,
        CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END AS word,
        prefix || left(md5(c.relname), 12) AS temporary
    FROM pair JOIN pg_index i ON i.indrelid = live JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT indisprimary AND indisvalid AND c.relname <> %(full_text)s
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid
            AND k.conrelid = live AND k.contype IN ('p', 'u', 'x'))
        -- A key that the caller asks for takes the place of all others, as in CKAN.
        AND NOT (%(key_name)s::text IS NOT NULL AND (indisunique OR c.relname = %(key_name)s))
),
"constraint" AS (
    SELECT k.oid, conname AS name, contype, pg_get_constraintdef(k.oid) AS definition,
        CASE WHEN contype = 'c' THEN conname
            ELSE prefix || left(md5(conname), 12) END AS temporary
    FROM pair JOIN pg_constraint k ON k.conrelid = live WHERE contype IN ('u', 'x', 'c')
),
"column" AS (
    SELECT a.attname AS name, a.attnotnull AND NOT coalesce(b.attnotnull, false) AS not_null,
        -- From PostgreSQL 18 on it has a name.
        'ADD CONSTRAINT ' || quote_ident(n.conname) || ' ' || pg_get_constraintdef(n.oid)
            AS named,
        pg_get_expr(adbin, adrelid) AS preset, b.atthasdef AS has_preset
    FROM pair JOIN pg_attribute a ON a.attrelid = live
    LEFT JOIN pg_attribute b ON b.attrelid = shadow AND b.attname = a.attname
    LEFT JOIN pg_attrdef d
        ON d.adrelid = live AND d.adnum = a.attnum AND a.attgenerated = ''
    LEFT JOIN pg_constraint n
        ON n.conrelid = live AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum]
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN ('_id', '_full_text')
),
addition AS (
    SELECT 1 AS step, 'index' AS kind, name, is_unique AS is_key,
        format('CREATE %sINDEX %I ON %s USING ', word, temporary, shadow_name)
        || right(pg_get_indexdef(oid),
            -length(format('CREATE %sINDEX %I ON %s USING ', word, name, live_name))
        ) AS statement,
        'pg_class'::regclass AS class, oid, NULL::name AS uses,
        EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = shadow AND c.relname = temporary) AS done
    FROM pair, index
    UNION ALL
    SELECT 2, 'constraint', name, contype <> 'c',
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', shadow_name, temporary, definition),
        'pg_constraint'::regclass, oid, NULL, EXISTS (
            SELECT FROM pg_constraint s WHERE s.conrelid = shadow AND s.conname = temporary)
    FROM pair, "constraint"
    UNION ALL
    SELECT 3, 'NOT NULL of', name, false,
        format('ALTER TABLE %s ', shadow_name)
            || coalesce(named, format('ALTER %I SET NOT NULL', name)),
        0, 0, name, false FROM pair, "column" WHERE not_null
    UNION ALL
    SELECT 4, 'default of', name, false,
        format('ALTER TABLE %s ALTER %I SET DEFAULT %s', shadow_name, name, preset),
        0, 0, name, false FROM pair, "column"
    WHERE preset IS NOT NULL AND has_preset IS NOT TRUE
)
SELECT kind || ' ' || quote_ident(name), is_key, statement, ARRAY(
        SELECT used FROM (
            SELECT attname FROM pg_depend d
            JOIN pg_attribute a ON a.attrelid = refobjid AND a.attnum = refobjsubid
            WHERE d.classid = class AND d.objid = oid AND refobjid = live
                AND refclassid = 'pg_class'::regclass AND refobjsubid > 0
            UNION SELECT uses WHERE uses IS NOT NULL
        ) AS u (used)
        WHERE NOT EXISTS (SELECT FROM pg_attribute
            WHERE attrelid = shadow AND attname = used AND NOT attisdropped)
        ORDER BY 1
    )::text[], done
FROM pair, addition ORDER BY step, name
