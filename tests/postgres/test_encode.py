"""What is encoded goes through a real COPY and comes back identical."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from loader.copy.encode import Form, encode

# name: cells of one column
CELLS = {
    "words": ["a", "b c", "ß€\U0001f600"],
    "empty and null": ["", None, "", None],
    "null alone": [None],
    "empty alone": [""],
    "COPY's own marks": ["\\N", "\\.", "NULL", "\\", "\\\\", "\\t"],
    "its end mark on a line of its own": [
        "a\n\\.\nb",
        "\n\\.\n",
        "\\.\n",
        "\n\\.",
        "a\r\n\\.\r\nb",
    ],
    "newlines": ["\n", "\r", "\r\n", "a\nb", "a\rb", "a\r\nb", "\n\n\n"],
    "tabs and delimiters": ["\t", "a,b", ";", "|", ",,"],
    "quotes": ['"', '""', 'a"b', '"a"', '","'],
    "spaces": [" ", " a ", "\u00a0", "\ufeff"],
    "control characters": ["\x01\x1a\x7f", "\u2028"],
}
DELIMITERS = [",", ";", "\t", "|"]


def stored(database, ids, columns, delimiter: str, line_end: str) -> list[tuple[object, ...]]:
    names = [f"c{i}" for i in range(len(columns))]
    database.execute("DROP TABLE IF EXISTS t")
    database.execute(f"CREATE TABLE t (_id int, {', '.join(f'{name} text' for name in names)})")
    statement = sql.SQL("COPY t FROM STDIN (FORMAT csv, DELIMITER {})").format(delimiter)
    with database.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in encode(np.array(ids, np.int64), columns, Form(delimiter, line_end)):
            copy.write(piece)
    return database.execute("SELECT * FROM t ORDER BY _id").fetchall()


@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS)
def test_cells_come_back_as_they_went_in(database, cells):
    ids = range(1, len(cells) + 1)
    columns = [pa.array(cells, pa.string()), pa.array(cells[::-1], pa.string())]
    for delimiter in DELIMITERS:
        for line_end in ("\n", "\r\n"):
            rows = stored(database, ids, columns, delimiter, line_end)
            assert rows == list(zip(ids, cells, cells[::-1], strict=True))


text = st.text(
    st.sampled_from('\t\n\r\\N.,;|" aß\U0001f600')
    | st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    max_size=8,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.none() | text, st.none() | text), max_size=30),
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n"]),
)
@example([("\\.", "\\.\n\\.")], ",", "\n")
def test_any_text_comes_back_as_it_went_in(database, rows, delimiter, line_end):
    columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(2)]
    ids = range(10, 10 + len(rows))
    expected = [(i, *row) for i, row in zip(ids, rows, strict=True)]
    assert stored(database, ids, columns, delimiter, line_end) == expected


def test_a_part_of_a_column_is_encoded_alone(database_18):
    cells = pa.array(["x,y", "1", None, "2", '"'])[1:4]
    assert stored(database_18, [5, 6, 7], [cells], ",", "\n") == [(5, "1"), (6, None), (7, "2")]


def test_no_rows_are_no_bytes():
    assert encode(np.zeros(0, np.int64), [pa.array([], pa.string())], Form(",", "\n")) == []


def test_ids_beyond_32_bits_are_written():
    pieces = encode(np.array([2**40]), [pa.array(["a"])], Form(",", "\r\n"))
    assert b"".join(pieces) == b"1099511627776,a\r\n"
