-- Whether a configuration indexes numbers as they are. The probe shows that for some numbers; that
-- no dictionary changes a longer one, only the catalog tells.
SELECT strip(to_tsvector(c.oid, %(probe)s)) = strip(%(literal)s::tsvector)
    AND NOT EXISTS (
        SELECT
        FROM ts_token_type(c.cfgparser) AS t
            LEFT JOIN pg_ts_config_map AS m
                ON m.mapcfg = c.oid AND m.maptokentype = t.tokid AND m.mapseqno = 1
            LEFT JOIN pg_ts_dict AS d ON d.oid = m.mapdict
        WHERE t.alias IN ('int', 'uint', 'float', 'numword')
            AND (
                d.oid IS DISTINCT FROM 'pg_catalog.simple'::regdictionary
                OR d.dictinitoption IS NOT NULL
            )
    )
FROM pg_ts_config AS c
WHERE c.oid = %(config)s::regconfig
