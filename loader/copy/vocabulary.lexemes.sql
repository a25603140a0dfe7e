-- The marker's position tells how many positions a chunk takes: stop words take one too.
-- In one row, since Python takes longer over a row than the server over a lexeme.
SELECT string_agg(n::text, ' '), string_agg(position::text, ' '), string_agg(lexeme, E'\n')
FROM (
    SELECT n, position, lexeme
    FROM unnest(string_to_array(%(chunks)s, E'\n')) WITH ORDINALITY AS chunk (text, n),
        unnest(
            CASE WHEN text LIKE '% '
            THEN to_tsvector(%(config)s::regconfig, text || %(marker)s)
            ELSE to_tsvector(%(config)s::regconfig, text)
                || to_tsvector(%(config)s::regconfig, %(marker)s) END
        ) AS found (lexeme, positions, weights),
        unnest(positions) AS position
    ORDER BY n, position
) AS sorted
