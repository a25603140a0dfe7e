-- The table and the views over it, at their greatest distance; a view may use the table's row type
-- only. Looked up by pg_depend's index: it has millions of rows on a large portal.
WITH RECURSIVE related (oid, depth) AS (
    SELECT to_regclass(%(live)s)::oid, 0
    UNION
    SELECT v.oid, depth + 1
    FROM related JOIN pg_class c USING (oid) LEFT JOIN pg_type t ON t.oid = c.reltype,
    LATERAL (VALUES ('pg_class'::regclass, c.oid), ('pg_type'::regclass, c.reltype),
        ('pg_type'::regclass, t.typarray)) AS o (class, id)
    JOIN pg_depend d ON d.refclassid = o.class AND d.refobjid = o.id
    JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    JOIN pg_class v ON v.oid = r.ev_class
    WHERE r.ev_type = '1' AND v.relkind = 'v' AND v.oid <> c.oid
),
found AS (SELECT oid, max(depth) AS depth FROM related GROUP BY oid)
SELECT c.oid, nspname, relname, relowner::regrole::text, pg_get_viewdef(c.oid), depth = 1
FROM found JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = relnamespace
WHERE depth > 0 ORDER BY depth, c.oid
