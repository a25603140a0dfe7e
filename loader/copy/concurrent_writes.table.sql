-- What shows what others do to the table. Rows of a transaction that is running now, or that begins
-- later, are theirs; a TRUNCATE and some ALTER TABLE give the table another file.
SELECT c.oid,
    pg_stat_get_tuples_inserted(c.oid) AS inserted,
    pg_stat_get_tuples_updated(c.oid) AS updated,
    pg_stat_get_tuples_deleted(c.oid) AS deleted,
    (
        -- NULL if no index begins with _id.
        SELECT bool_or(i.indisunique AND i.indnkeyatts = 1)
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = '_id'
            AND a.attnotnull AND a.atttypid::regtype IN ('smallint', 'integer', 'bigint')
    ) AS is_unique,
    pg_relation_filenode(c.oid) AS file,
    concat_ws(',', relam, relpersistence, (
        SELECT string_agg(concat_ws(' ', attnum, atttypid, xmin), ',' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    )) AS form,
    pg_snapshot_xmax(pg_current_snapshot())::xid::text AS xid,
    ARRAY(SELECT pg_snapshot_xip(pg_current_snapshot())::xid::text) AS running
FROM pg_class c WHERE c.oid = to_regclass(%(live)s)
