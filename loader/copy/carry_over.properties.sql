-- Who owned the old one and does not own the new one keeps what an owner may do. Privileges that
-- the new one has by default go: without them on the old one, somebody has taken them away.
WITH old AS (SELECT * FROM pg_class WHERE oid = %(old)s::oid),
new AS (
    SELECT *, oid::regclass AS named,
        CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind,
        CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END AS word
    FROM pg_class WHERE oid = %(new)s::oid
),
change (step, form, part, grantee, privilege) AS (
    SELECT 1, 'REVOKE ALL ON %1$s%2$s FROM %3$s', NULL::text, grantee, NULL
    FROM new, aclexplode(relacl) WHERE grantee <> relowner
    UNION
    SELECT 2, 'GRANT %4$s ON %1$s%2$s TO %3$s'
        || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
        NULL, grantee, privilege_type
    FROM old, new, aclexplode(coalesce(old.relacl, acldefault(
        CASE old.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", old.relowner)))
    WHERE grantee <> new.relowner
    UNION
    SELECT 2, 'GRANT %4$s (%5$s) ON %2$s TO %3$s'
        || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
        quote_ident(a.attname), grantee, privilege_type
    FROM old, new, pg_attribute a JOIN pg_attribute b USING (attname), aclexplode(a.attacl)
    WHERE a.attrelid = old.oid AND b.attrelid = new.oid AND grantee <> new.relowner
)
SELECT step, format(form, word, named,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege, part)
FROM change, new
UNION
SELECT 3, format('COMMENT ON COLUMN %s.%I IS %L', named, b.attname,
    col_description(a.attrelid, a.attnum))
FROM old, new, pg_attribute a JOIN pg_attribute b USING (attname)
WHERE a.attrelid = old.oid AND b.attrelid = new.oid
    AND col_description(a.attrelid, a.attnum) IS NOT NULL
UNION
SELECT 3, format('COMMENT ON %s %s IS %L', kind, named, obj_description(old.oid, 'pg_class'))
FROM old, new WHERE obj_description(old.oid, 'pg_class') IS NOT NULL
    AND NOT (kind = 'SEQUENCE' AND starts_with(obj_description(old.oid, 'pg_class'), %(mark)s))
UNION
SELECT 3, format('COMMENT ON TYPE %s IS %L', new.reltype::regtype,
    obj_description(old.reltype, 'pg_type'))
FROM old, new WHERE obj_description(old.reltype, 'pg_type') IS NOT NULL
UNION
SELECT 3, format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', named, b.attname,
    pg_get_expr(adbin, adrelid))
FROM old, new, pg_attrdef JOIN pg_attribute a ON adrelid = a.attrelid AND adnum = a.attnum
    JOIN pg_attribute b USING (attname)
WHERE kind = 'VIEW' AND a.attrelid = old.oid AND b.attrelid = new.oid
UNION
SELECT 3, format('ALTER SEQUENCE %s INCREMENT BY %s CACHE %s %s', named, seqincrement,
    seqcache, CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)
-- Not a descending one: its next numbers would be those of rows that were loaded.
FROM old, new, pg_sequence WHERE kind = 'SEQUENCE' AND seqrelid = old.oid AND seqincrement > 0
UNION
SELECT 3, format('ALTER TABLE %s SET (%s%I = %L)', named, space, option_name, option_value)
FROM old LEFT JOIN pg_class t ON t.oid = old.reltoastrelid, new,
    LATERAL (VALUES ('', old.reloptions), ('toast.', t.reloptions)) AS o (space, options),
    pg_options_to_table(options)
ORDER BY 1
