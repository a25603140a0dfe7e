-- The sequence of a table's _id is what bears the mark.
SELECT t.relname, t.oid, obj_description(s.oid, 'pg_class') FROM pg_class s
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
    AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    AND a.attname = '_id'
JOIN pg_class t ON t.oid = d.refobjid
WHERE s.relkind = 'S' AND t.relkind = 'r' AND t.relnamespace = %(schema)s::regnamespace
    AND left(t.relname, 1) <> '_' AND t.oid = coalesce(%(oid)s, t.oid)
ORDER BY 1
