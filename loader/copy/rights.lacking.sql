-- What a load does and the role may not, each in a line.
SELECT 'the table ' || %(name)s::text || ' belongs to ' || relowner::regrole
    || ', and ' || quote_ident(current_user) || ' is no member of it'
FROM pg_class WHERE oid = to_regclass(%(live)s) AND NOT pg_has_role(relowner, 'USAGE')
UNION ALL
SELECT quote_ident(current_user) || ' lacks ' || string_agg(privilege, ' and ')
    || ' on the table _table_stats'
FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
WHERE pg_class.oid = to_regclass('public._table_stats')
    AND NOT has_table_privilege(pg_class.oid, privilege) HAVING count(*) > 0
UNION ALL
SELECT quote_ident(current_user) || ' lacks EXECUTE on the function populate_full_text_trigger'
FROM pg_proc WHERE oid = to_regprocedure('public.populate_full_text_trigger()')
    AND NOT has_function_privilege(oid, 'EXECUTE')
