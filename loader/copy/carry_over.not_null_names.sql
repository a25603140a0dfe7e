-- What names a NOT NULL that was named after the shadow after the live table. One whose name would
-- be too long keeps it: Postgres cuts such names in a way of its own.
SELECT format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', %(table)s::text, conname, final)
FROM pg_constraint,
    LATERAL (SELECT %(live)s || right(conname, -length(%(shadow)s))) AS n (final)
WHERE conrelid = to_regclass(%(table)s) AND contype = 'n'
    AND starts_with(conname, %(shadow)s) AND octet_length(final) < 64
