-- What DROP TABLE would refuse to take along, and what it would take along without a word.
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
found AS (SELECT oid, max(depth) AS depth FROM related GROUP BY oid),
object (class, id, relation) AS (
    SELECT o.*, c.oid
    FROM found JOIN pg_class c USING (oid) LEFT JOIN pg_type t ON t.oid = c.reltype,
    LATERAL (VALUES ('pg_class'::regclass, c.oid), ('pg_type'::regclass, c.reltype),
        ('pg_type'::regclass, t.typarray)) AS o (class, id)
),
dependent AS (
    SELECT DISTINCT d.classid, d.objid, d.objsubid
    FROM object JOIN pg_depend d ON d.refclassid = class AND d.refobjid = id
    WHERE d.deptype = 'n' AND NOT EXISTS (
        SELECT FROM pg_depend own JOIN found f ON f.oid = own.refobjid
        WHERE own.classid = d.classid AND own.objid = d.objid
            AND own.refclassid = 'pg_class'::regclass AND own.deptype IN ('a', 'i')
    )
)
SELECT coalesce(
    'foreign key ' || quote_ident(k.conname) || ' of ' || k.conrelid::regclass,
    pg_describe_object('pg_class'::regclass, r.ev_class, 0),
    pg_describe_object(classid, objid, objsubid)
) FROM dependent
LEFT JOIN pg_constraint k
    ON classid = 'pg_constraint'::regclass AND k.oid = objid AND k.contype = 'f'
LEFT JOIN pg_rewrite r ON classid = 'pg_rewrite'::regclass AND r.oid = objid
UNION SELECT 'foreign key ' || quote_ident(conname) FROM pg_constraint
    WHERE conrelid = to_regclass(%(live)s) AND contype = 'f'
UNION SELECT pg_describe_object('pg_rewrite'::regclass, r.oid, 0)
    FROM pg_rewrite r JOIN found f ON f.oid = ev_class WHERE ev_type <> '1'
UNION SELECT pg_describe_object('pg_trigger'::regclass, t.oid, 0)
    FROM pg_trigger t JOIN found f ON f.oid = tgrelid WHERE depth > 0 AND NOT tgisinternal
UNION SELECT pg_describe_object('pg_policy'::regclass, oid, 0)
    FROM pg_policy WHERE polrelid = to_regclass(%(live)s)
UNION SELECT 'row level security' FROM pg_class
    WHERE oid = to_regclass(%(live)s) AND (relrowsecurity OR relforcerowsecurity)
UNION SELECT 'inheritance from ' || inhparent::regclass FROM pg_inherits
    WHERE inhrelid = to_regclass(%(live)s)
UNION SELECT pg_describe_object('pg_publication_rel'::regclass, oid, 0)
    FROM pg_publication_rel WHERE prrelid = to_regclass(%(live)s)
UNION SELECT pg_describe_object('pg_class'::regclass, oid, 0)
        || ', which belongs to ' || relowner::regrole
    FROM found JOIN pg_class USING (oid)
    WHERE depth > 0 AND NOT pg_has_role(relowner, 'MEMBER')
UNION SELECT pg_describe_object('pg_class'::regclass, oid, 0)
        || ', in a schema where this role may not create'
    FROM found JOIN pg_class USING (oid)
    WHERE depth > 0 AND NOT has_schema_privilege(relnamespace, 'CREATE')
ORDER BY 1
