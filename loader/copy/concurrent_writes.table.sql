-- What tells what others do to the table: its oid, the server's counts of rows, whether _id is
-- indexed, its file and its columns, and which transactions are running.
SELECT c.oid, pg_stat_get_tuples_inserted(c.oid), pg_stat_get_tuples_updated(c.oid),
    pg_stat_get_tuples_deleted(c.oid), (
    SELECT bool_or(i.indisunique AND i.indnkeyatts = 1)
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = '_id'
        AND a.attnotnull AND a.atttypid::regtype IN ('smallint', 'integer', 'bigint')),
    pg_relation_filenode(c.oid), concat_ws(',', relam, relpersistence, (
    SELECT string_agg(concat_ws(' ', attnum, atttypid, xmin), ',' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)),
    pg_snapshot_xmax(pg_current_snapshot())::xid::text,
    ARRAY(SELECT pg_snapshot_xip(pg_current_snapshot())::xid::text)
FROM pg_class c WHERE c.oid = to_regclass(%(live)s)
