-- Of a column that has another type now, only what somebody has chosen: all else is the type's own.
WITH pair AS (
    SELECT b.attname, a.attstattarget AS target, b.attstattarget AS has_target,
        a.attoptions AS options, b.attoptions AS has_options,
        CASE WHEN a.atttypid = b.atttypid OR a.attstorage <> o.typstorage
            THEN a.attstorage ELSE t.typstorage END AS storage,
        b.attstorage AS has_storage, t.typstorage <> 'p' AS is_toastable,
        -- Not there before PostgreSQL 14.
        coalesce(to_jsonb(a) ->> 'attcompression', '') AS compression,
        coalesce(to_jsonb(b) ->> 'attcompression', '') AS has_compression
    FROM pg_class c JOIN pg_attribute b ON b.attrelid = c.oid
    JOIN pg_type t ON t.oid = b.atttypid
    JOIN pg_attribute a ON a.attrelid = %(old)s::oid AND a.attname = b.attname
    JOIN pg_type o ON o.oid = a.atttypid
    WHERE c.oid = %(new)s::oid AND c.relkind = 'r' AND b.attnum > 0 AND NOT b.attisdropped
),
change (attname, step, text) AS (
    SELECT attname, 1, 'SET STORAGE ' || CASE storage WHEN 'p' THEN 'PLAIN'
        WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END
    FROM pair WHERE is_toastable AND storage <> has_storage
    UNION ALL SELECT attname, 2, 'SET COMPRESSION ' || CASE compression WHEN 'p' THEN 'pglz'
        WHEN 'l' THEN 'lz4' ELSE 'DEFAULT' END
    FROM pair WHERE is_toastable AND compression <> has_compression
    UNION ALL SELECT attname, 3, 'SET STATISTICS ' || coalesce(target, -1)
    FROM pair WHERE coalesce(target, -1) <> coalesce(has_target, -1)
    UNION ALL SELECT attname, 4, format('RESET (%I)', option_name)
    FROM pair, pg_options_to_table(has_options)
    UNION ALL SELECT attname, 5, format('SET (%I = %L)', option_name, option_value)
    FROM pair, pg_options_to_table(options)
)
SELECT format('ALTER TABLE %s %s', %(new)s::oid::regclass,
    string_agg(format('ALTER %I %s', attname, text), ', ' ORDER BY step))
FROM change HAVING count(*) > 0
