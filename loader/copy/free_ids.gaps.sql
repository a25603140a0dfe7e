-- The largest gaps between the _id that rows have, and after them the ends. Of those one after the
-- other, the _id less its number among them is the same. All is of the same moment: rows come while
-- this is being found out.
WITH numbered AS (
    SELECT _id::bigint AS _id, _id::bigint - dense_rank() OVER (ORDER BY _id) AS run FROM {live}
),
runs AS (
    SELECT min(_id) AS first, max(_id) AS last FROM numbered GROUP BY run
),
gaps AS (
    SELECT max(last) OVER (ORDER BY first, last) AS low,
        lead(first) OVER (ORDER BY first, last) AS high
    FROM runs
)
(SELECT low, high FROM gaps WHERE high > low + 1 ORDER BY high - low DESC LIMIT %(most)s)
UNION ALL SELECT NULL, min(first) FROM runs
UNION ALL SELECT max(last), NULL FROM runs
