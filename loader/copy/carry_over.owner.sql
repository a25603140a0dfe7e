-- Whoever may drop the old one belongs to its owner. A superuser may do all; others can make only
-- those roles owners that may create in the schema.
SELECT format('ALTER TABLE %s OWNER TO %s', new.oid::regclass, old.relowner::regrole)
FROM pg_class old, pg_class new
WHERE old.oid = %(old)s::oid AND new.oid = %(new)s::oid AND old.relowner <> new.relowner
    AND new.relkind <> 'S' AND (
        has_schema_privilege(old.relowner, new.relnamespace, 'CREATE')
        OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
