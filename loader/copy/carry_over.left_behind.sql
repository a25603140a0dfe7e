-- What is on the live table and no load makes on the one that replaces it.
WITH pair AS (
    SELECT l.oid AS live, s.oid AS shadow,
        format('%I.%I', %(schema)s::text, l.relname) AS live_name,
        format('%I.%I', %(schema)s::text, s.relname) AS shadow_name,
        %(prefix)s::text AS prefix
    FROM pg_class l, pg_class s
    WHERE l.oid = to_regclass(%(live)s) AND s.oid = to_regclass(%(shadow)s)
)
SELECT 'statistics object ' || quote_ident(stxname) FROM pair JOIN pg_statistic_ext
    ON stxrelid = live
UNION SELECT 'the ' || pg_get_constraintdef(k.oid) FROM pair
    JOIN pg_constraint k ON conrelid = live AND contype = 'p'
    WHERE pg_get_constraintdef(k.oid) <> 'PRIMARY KEY (_id)'
UNION SELECT 'the name ' || quote_ident(conname) || ' of the primary key' FROM pair
    JOIN pg_constraint ON conrelid = live AND contype = 'p' WHERE conname <> %(primary_key)s
UNION SELECT 'the type ' || format_type(atttypid, atttypmod) || ' of _id' FROM pair
    JOIN pg_attribute ON attrelid = live
    WHERE attname = '_id' AND atttypid <> 'integer'::regtype
UNION SELECT 'the default ' || pg_get_expr(d.adbin, live) || ' of _id' FROM pair
    JOIN pg_attribute ON attrelid = live AND attname = '_id' AND attgenerated = ''
    JOIN pg_attrdef d ON adrelid = live AND adnum = attnum
    WHERE NOT EXISTS (SELECT FROM pg_depend n JOIN pg_depend o ON o.objid = n.refobjid
        WHERE n.classid = 'pg_attrdef'::regclass AND n.objid = d.oid
            AND o.classid = 'pg_class'::regclass AND o.refobjid = live AND o.deptype = 'a')
UNION SELECT 'NOT NULL of _full_text' FROM pair
    JOIN pg_attribute ON attrelid = live WHERE attname = '_full_text' AND attnotnull
UNION SELECT 'the domain ' || format_type(atttypid, atttypmod) || ' of ' || quote_ident(attname)
    FROM pair JOIN pg_attribute ON attrelid = live JOIN pg_type t ON t.oid = atttypid
    WHERE attnum > 0 AND NOT attisdropped AND typtype = 'd'
UNION SELECT 'the identity of ' || quote_ident(attname) FROM pair
    JOIN pg_attribute ON attrelid = live WHERE attidentity <> '' AND NOT attisdropped
UNION SELECT 'that ' || quote_ident(attname) || ' is generated' FROM pair
    JOIN pg_attribute ON attrelid = live WHERE attgenerated <> '' AND NOT attisdropped
UNION SELECT 'that it is unlogged' FROM pair JOIN pg_class c ON c.oid = live
    JOIN pg_class s ON s.oid = shadow
    WHERE c.relpersistence = 'u' AND s.relpersistence <> 'u'
UNION SELECT 'that it is of the type ' || reloftype::regtype FROM pair
    JOIN pg_class c ON c.oid = live WHERE reloftype <> 0
UNION SELECT 'the access method ' || quote_ident(amname) FROM pair
    JOIN pg_class c ON c.oid = live JOIN pg_class s ON s.oid = shadow
    JOIN pg_am m ON m.oid = c.relam WHERE c.relam <> s.relam
UNION SELECT 'tablespace ' || quote_ident(spcname) || ' of the index ' || quote_ident(relname)
    FROM pair JOIN pg_index ON indrelid = live JOIN pg_class c ON c.oid = indexrelid
    JOIN pg_tablespace t ON t.oid = c.reltablespace
UNION SELECT 'that ' || pg_describe_object(classid, objid, 0) || ' goes with the '
        || pg_describe_object(refclassid, refobjid, 0)
    FROM pair JOIN pg_depend ON deptype = 'x' AND refclassid = 'pg_extension'::regclass
    WHERE (classid = 'pg_class'::regclass
            AND objid IN (SELECT indexrelid FROM pg_index WHERE indrelid = live))
        OR (classid = 'pg_trigger'::regclass
            AND objid IN (SELECT oid FROM pg_trigger WHERE tgrelid = live))
UNION SELECT 'the collation of ' || quote_ident(attname) FROM pair
    JOIN pg_attribute a ON attrelid = live JOIN pg_type t ON t.oid = atttypid
    WHERE attnum > 0 AND NOT attisdropped AND attcollation <> typcollation
UNION SELECT 'security label by ' || provider FROM pair JOIN pg_seclabel ON objoid = live
    AND classoid = 'pg_class'::regclass
UNION SELECT 'tablespace ' || quote_ident(spcname) FROM pair JOIN pg_class c ON c.oid = live
    JOIN pg_tablespace t ON t.oid = c.reltablespace
UNION SELECT 'the owner ' || relowner::regrole FROM pair JOIN pg_class c ON c.oid = live
    WHERE relowner <> (SELECT relowner FROM pg_class WHERE oid = shadow)
        AND NOT has_schema_privilege(relowner, relnamespace, 'CREATE')
        AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
ORDER BY 1
