-- A default counts if it calls a function: a constant would give all rows the same ``_id``.
SELECT attidentity <> '', attgenerated <> '', attnotnull,
    CASE WHEN pg_get_expr(adbin, adrelid) ~ '[[:alnum:]_"]\(' THEN
        pg_get_expr(adbin, adrelid) END,
    nspname, relname, seqincrement,
    has_sequence_privilege(s.oid, 'SELECT')
        AND atttypid::regtype IN ('smallint', 'integer', 'bigint', 'numeric'),
    ARRAY(SELECT i.relname::text FROM pg_index JOIN pg_class i ON i.oid = indexrelid
        WHERE indrelid = attrelid AND indisunique AND indisvalid AND indpred IS NULL
            AND indnkeyatts = 1 AND indkey[0] = attnum),
    EXISTS (SELECT FROM pg_trigger WHERE tgrelid = attrelid AND NOT tgisinternal
        -- For each row, before it is inserted.
        AND tgname <> 'zfulltext' AND tgenabled IN ('O', 'A') AND tgtype & 7 = 7)
FROM pg_attribute
LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
LEFT JOIN LATERAL (
    SELECT c.oid, nspname, relname, seqincrement FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_sequence ON seqrelid = c.oid
    WHERE c.oid IN (
        SELECT refobjid FROM pg_depend WHERE classid = 'pg_attrdef'::regclass
            AND objid = d.oid AND refclassid = 'pg_class'::regclass
        UNION ALL
        SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass
            AND refclassid = 'pg_class'::regclass AND refobjid = attrelid
            AND refobjsubid = attnum AND deptype = 'i'
    ) LIMIT 1
) s ON true
WHERE attrelid = to_regclass(%(live)s) AND attname = '_id' AND NOT attisdropped
