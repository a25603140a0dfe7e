"""The vectors that are put together from words are those that Postgres makes of the whole text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import hypothesis.strategies as st
import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from loader.copy import fulltext, lexemes, vocabulary
from loader.copy.lexemes import Composer
from loader.types.column import Column

MARKS = [*"!\"#$%&'()*+,-./:;=?@[\\]^_`{|}~", "--", "..", "//", "://", "&amp;", "&#955;", "€", "…"]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\v", "\f", "\u00a0", "\u2003", "\u3000", "\x1f", "\x85"]
WORDS = [
    *("the", "of", "Foxes", "RUNNING", "it's", "a", "I", "naïve", "Straße", "Ærøskøbing", "ΣΑΣ"),
    *(
        "0",
        "7",
        "007",
        "17.5",
        "-3",
        "+4",
        "1e5",
        "0x1F",
        "12:30",
        "2015-08-18",
        "10660",
        "x1",
        "1x",
    ),
    *("155-18", "BATHTUB/SHOWER", "state-of-the-art", "www.example.com", "a.b.c", "file.txt"),
    *("http://example.org/a?b=c&d=e#f", "jane.doe+tag@example.org", "/usr/local/bin", "C:\\temp"),
    *("東京", "Москва", "العربية", "हिन्दी", "🙂", "e\u0301", "\u200b", "ﬁ", "İ", "w" * 300),
]
TAGS = ["<", ">", "<b>", "</b>", "<!--", "-->", "<a href='x y'>", "a<b"]
PIECES = st.one_of(
    st.sampled_from(WORDS), st.sampled_from(MARKS), st.sampled_from(SPACES), st.sampled_from(TAGS)
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.lists(st.sampled_from(WORDS + MARKS), max_size=12).map(" ".join),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have any number of words asked for."""
    monkeypatch.setattr(vocabulary, "FREE_NEW", 1 << 62)


def composer(
    connection: psycopg.Connection, *kinds: str, config: str = "pg_catalog.english"
) -> Composer:
    columns = [Column(f"c{i}", kind) for i, kind in enumerate(kinds)]
    return Composer(connection, columns, "all", config, "UTC")


def composed(one: Composer, *columns: Sequence[str | None]) -> list[str | None]:
    cells = [pa.array(column, pa.string()) for column in columns]
    return one.compose(cells, np.zeros(len(cells[0]), np.bool_)).to_pylist()


def differing(
    connection: psycopg.Connection,
    texts: Sequence[str],
    vectors: Sequence[str | None],
    config: str = "pg_catalog.english",
) -> list[tuple]:
    """Return the texts of which Postgres makes other vectors, positions included."""
    return connection.execute(
        "SELECT text, vector, to_tsvector(%s::regconfig, text)::text"
        " FROM unnest(%s::text[], %s::text[]) AS t (text, vector)"
        " WHERE vector::tsvector IS DISTINCT FROM to_tsvector(%s::regconfig, text)",
        (config, list(texts), list(vectors), config),
    ).fetchall()


@pytest.mark.parametrize("config", ["english", "simple", "german", "russian"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=1, max_size=8))
def test_a_text_has_the_vector_that_postgres_makes_of_it(
    database: psycopg.Connection, config: str, texts: list[str]
):
    config = f"pg_catalog.{config}"
    vectors = composed(composer(database, "text", config=config), texts)
    assert differing(database, texts, vectors, config) == []


@pytest.mark.usefixtures("patient")
def test_every_mark_may_stand_before_behind_and_between_words(database: psycopg.Connection):
    few = ["the", "Foxes", "7", "-3", "17.5", "x1", "東京", "a.b", "www.example.com"]
    begins = ["", *MARKS, *(f" {mark}" for mark in MARKS)]
    texts = [
        f"{before}{word}{behind}{other}"
        for before, word, behind in itertools.product(begins, few, MARKS)
        for other in ["", "go", " end"]
    ]
    assert differing(database, texts, composed(composer(database, "text"), texts)) == []


@pytest.mark.usefixtures("patient")
def test_a_number_between_marks_is_the_number(database_18: psycopg.Connection):
    """The server is not asked for these."""
    before, behind = ["", *"([\"'$#"], ["", *".,;:!?%\"')]"]
    numbers = ["0", "7", "007", "10660", "123456789012345678901234567890", "1" * 31]
    texts = [
        f"{start}{opens}{number}{''.join(closes)}{end}"
        for opens, number in itertools.product(before, numbers)
        for start, end in [("", ""), ("a ", " 1")]
        for closes in itertools.product(behind, repeat=3)
    ]
    assert differing(database_18, texts, composed(composer(database_18, "text"), texts)) == []


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXTS, st.none() | TEXTS, TEXTS), min_size=1, max_size=5))
def test_columns_are_joined_as_one_text(database_18: psycopg.Connection, rows: list[tuple]):
    columns = list(zip(*rows, strict=True))
    texts = [" ".join(cell or "" for cell in row) for row in rows]
    vectors = composed(composer(database_18, "text", "text", "text"), *columns)
    assert differing(database_18, texts, vectors) == []


EDGES = st.lists(
    st.sampled_from([*"~./:@-#&<>+_", "..", "a", "1", "ü", "b.c", " "]), min_size=1, max_size=4
).map("".join)
NEAR = {
    "text": st.one_of(st.none(), st.just(""), EDGES, EDGES, EDGES, TEXTS),
    "bigint": st.sampled_from([None, "7", "-8"]),
    "numeric": st.sampled_from([None, "15.30", "-0.5"]),
    "date": st.sampled_from([None, "2015-08-18"]),
    "time": st.sampled_from([None, "06:34:36"]),
    "timestamp": st.sampled_from([None, "2015-08-18T06:34:36"]),
    "boolean": st.sampled_from([None, "true", "FALSE"]),
    "json": st.sampled_from([None, "[]", '{"a": "~x"}', '["..", 1]']),
}


def not_the_triggers(
    connection: psycopg.Connection, kinds: Sequence[str], rows: Sequence[tuple], config: str
) -> list[tuple]:
    """Return the rows whose lexemes, composed or by an expression, are not those of the trigger."""
    connection.prepare_threshold = None  # other columns each time
    columns = list(zip(*rows, strict=True))
    names = [Column(f"c{i}", kind) for i, kind in enumerate(kinds)]
    ours = [
        f"strip({fulltext.expression(names, 'all', config, 'UTC', literals).as_string()})"
        for literals in (True, False)
    ]
    ours.append("strip(composed::tsvector)")
    listed = ", ".join(column.name for column in names)
    arrays = ", ".join(f"%s::text[]::{kind}[]" for kind in kinds)
    return connection.execute(
        f"SELECT {listed}, trigger, {', '.join(ours)} FROM ("
        "  SELECT t.*, coalesce(strip((SELECT to_tsvector(%s::regconfig, string_agg(value, ' '))"
        f"   FROM json_each_text(row_to_json(t.*)) WHERE key <> 'composed')), '') AS trigger"
        f"  FROM unnest({arrays}, %s::text[]) AS t ({listed}, composed)) AS t"
        f" WHERE {' OR '.join(f'trigger <> {vector}' for vector in ours)}",
        [
            config,
            *map(list, columns),
            composed(composer(connection, *kinds, config=config), *columns),
        ],
    ).fetchall()


@pytest.mark.usefixtures("patient")
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    kinds=st.lists(st.sampled_from(["text", "text", *NEAR]), min_size=1, max_size=5),
    config=st.sampled_from(["english", "simple", "german"]),
)
def test_the_edges_of_a_row_are_the_triggers(
    database: psycopg.Connection, data: st.DataObject, kinds: list[str], config: str
):
    rows = st.lists(st.tuples(*map(NEAR.get, kinds)), min_size=20, max_size=60)
    given = data.draw(rows)
    assert not_the_triggers(database, kinds, given, f"pg_catalog.{config}") == []


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("kind", NEAR)
def test_white_space_at_the_edge_of_a_row_is_the_triggers(
    database_18: psycopg.Connection, kind: str
):
    """Every mark at the begin and the end, beside a value, nothing, and an empty text."""
    beside = {"text": [None, "", "x"], "boolean": [None, "true"], "json": [None, "[]"]}
    values = beside.get(kind) or [None, *dict(KNOWN)[kind][:1]]
    few = ["", ".", "/", "~"]
    texts = [f"{mark}oak{other}" for mark in ["", *MARKS] for other in few]
    texts += [f"{other}1850{mark}" for mark in ["", *MARKS] for other in few] + MARKS
    rows = [
        (before, text, None, behind) for text in texts for before in values for behind in values
    ]
    for turned in (rows, [(None, text, before, behind) for before, text, _, behind in rows]):
        kinds = (kind, "text", "text" if turned is rows else kind, kind)
        assert not_the_triggers(database_18, kinds, turned, "pg_catalog.english") == []


@pytest.mark.usefixtures("patient")
def test_many_words_have_the_positions_that_postgres_allows(database_18: psycopg.Connection):
    texts = ["same word " * 250, " ".join(f"w{i}" for i in range(17_000)), "end"]
    assert differing(database_18, texts, composed(composer(database_18, "text"), texts)) == []


@pytest.mark.parametrize(("chunks", "length"), [(3, 1 << 20), (1 << 20, 20)])
def test_words_that_were_forgotten_are_asked_for_again(
    database_18: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, chunks: int, length: int
):
    monkeypatch.setattr(vocabulary, "MOST_CHUNKS", chunks)
    monkeypatch.setattr(vocabulary, "MOST_BYTES", length)
    monkeypatch.setattr(vocabulary, "MOST_NEW", 1)
    monkeypatch.setattr(vocabulary, "ASKED_AT_ONCE", 3)
    one = composer(database_18, "text")
    words = "the quick brown foxes are jumping over lazy dogs and over other state-of-the-art foxes"
    texts = [*words.split(), "", words]
    for _ in range(3):
        assert differing(database_18, texts, composed(one, texts)) == []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that the server is asked for, as it is."""
    chunks: list[str] = []
    ask = vocabulary.Vocabulary._ask

    def spy(self: vocabulary.Vocabulary, some: Sequence[str]) -> vocabulary.Entries:
        chunks.extend(some)
        return ask(self, some)

    monkeypatch.setattr(vocabulary.Vocabulary, "_ask", spy)
    return chunks


def test_it_gives_up_before_too_many_words_are_asked_for(
    database_18: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, asked: list[str]
):
    monkeypatch.setattr(vocabulary, "FREE_NEW", 50)
    one = composer(database_18, "text")
    for start in range(0, 40, 10):
        texts = [f"lazy dogs w{i}" for i in range(start, start + 10)]
        assert differing(database_18, texts, composed(one, texts)) == []
    known = len(asked)
    new = [f"x{i}" for i in range(20)]
    assert one.compose([pa.array(new)], np.zeros(20, np.bool_)) is None
    assert one.gave_up
    # Nor does it go on with what it knows: its caller has another way by now.
    assert one.compose([pa.array(["lazy dogs w1"])], np.zeros(1, np.bool_)) is None
    assert len(asked) == known


def test_few_new_words_among_many_are_asked_for_to_the_end(
    database_18: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(vocabulary, "FREE_NEW", 50)
    one = composer(database_18, "text")
    for i in range(200):
        composed(one, [f"{'the quick brown foxes ' * 20} w{i}"])
    assert not one.gave_up


def test_it_gives_up_before_too_many_rows_are_asked_for(
    database_18: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lexemes, "FREE_ODD", 3)
    one = composer(database_18, "text")
    texts = ["a <b>dog</b>", "cats", "<"]
    assert differing(database_18, texts, composed(one, texts)) == []
    few = ["<i>"] + ["cats"] * 99
    assert differing(database_18, few, composed(one, few)) == []
    rows = one.compose([pa.array(["<i>"] * 6)], np.zeros(6, np.bool_))
    assert rows is None
    assert one.gave_up


def test_a_word_is_asked_for_once(datastore_url_18: str):
    with psycopg.connect(datastore_url_18, autocommit=True) as connection:
        one = composer(connection, "text", "bigint", "date")
        first = composed(one, ["lazy dogs 7", None], ["8", "9"], ["2020-01-02", None])
    assert first == ["8 2020:1 -01:2 -02:3 lazi:4 dog:5 7:6 ", "9  "]
    # The connection is closed.
    again = composed(one, ["lazy (99.) dogs 8", None], [None, "-5"], [None, None])
    assert again == ["  lazi:4 99:5 dog:6 8:7 ", "-5  "]
    with pytest.raises(Exception, match="closed"):
        composed(one, ["cats"], ["1"], [None])


def test_a_table_without_searchable_columns_has_empty_vectors(database_18: psycopg.Connection):
    columns = [Column("n", "bigint")]
    one = Composer(database_18, columns, "text", "pg_catalog.english", "UTC")
    assert composed(one, ["7", None]) == ["", ""]


def test_rows_left_out_are_null(database_18: psycopg.Connection):
    cells = [pa.array(["a dog", "<b", "cats"])]
    vectors = composer(database_18, "text").compose(cells, np.array([False, True, True]))
    assert vectors.to_pylist() == ["dog:2 ", None, None]


DATES = ["0001-01-01", "0099-12-31", "2015-08-18", "2024-02-29", "9999-12-31"]
CLOCKS = ["00:00:00", "06:34:36", "23:59:59.999999", "12:00:00.5", "12:00:00.100", "12:00:00.000"]
MOMENTS = [f"{day}{between}{clock}" for day in DATES for clock in CLOCKS for between in " T"]
KNOWN = [
    ("bigint", ["0", "-8", "9223372036854775807"]),
    ("numeric", ["15.30", "-0.5", "0.000001", "1" * 1000]),
    ("date", DATES),
    ("time", CLOCKS),
    ("time", [clock for clock in CLOCKS if len(clock) == 8]),
    ("timestamp", MOMENTS),
    ("timestamp", [moment for moment in MOMENTS if len(moment) == 19]),
    ("timestamp", [*DATES, "2015-08-18 06:34", "2015-08-18T06:34"]),
    ("boolean", ["true", "FALSE", "True"]),
]


@pytest.mark.parametrize(("kind", "values"), KNOWN)
@pytest.mark.parametrize("empty", [[], [None]], ids=["all filled", "one empty"])
def test_values_have_the_vectors_of_the_expression(
    database_18: psycopg.Connection, kind: str, values: list[str], empty: list[None]
):
    cells = [*empty, *values, *empty, *values]
    expression = fulltext.expression(
        [Column("v", kind)], "all", "pg_catalog.english", "UTC", literals=True
    ).as_string()
    vectors = composed(composer(database_18, kind), cells)
    assert (
        database_18.execute(
            f"SELECT v, vector, {expression} FROM"
            f" unnest(%s::text[]::{kind}[], %s::text[]) AS t (v, vector)"
            f" WHERE vector::tsvector IS DISTINCT FROM {expression}",
            (cells, vectors),
        ).fetchall()
        == []
    )


def test_a_slice_has_its_own_rows(database_18: psycopg.Connection):
    moments = pa.array([None, "2015-08-18 06:34:36", None, "2016-01-01 00:00:00"])
    numbers, texts = pa.array(["1", "2", "3", "4"]), pa.array(["a b", "c <d", "<e> f", "g h"])
    one = composer(database_18, "timestamp", "bigint", "text")
    whole = one.compose([moments, numbers, texts], np.zeros(4, np.bool_)).to_pylist()
    cells = [column.slice(1, 2) for column in (moments, numbers, texts)]
    assert one.compose(cells, np.zeros(2, np.bool_)).to_pylist() == whole[1:3]


ENGLISH = [f"The {word} of the {other}" for word in WORDS[:20] for other in WORDS[:20]]


def can_compose(connection: psycopg.Connection, config: str, *texts: str, kind: str = "text"):
    columns = [Column("a", kind), Column("b", "bigint")]
    sample = [pa.array(texts, pa.string()), pa.array(["1"] * len(texts), pa.string())]
    return lexemes.can_compose(connection, columns, "all", config, sample)


@pytest.mark.parametrize("config", ["english", "simple", "german", "russian"])
def test_usual_texts_can_be_composed(database: psycopg.Connection, config: str):
    assert can_compose(database, f"pg_catalog.{config}", *ENGLISH)
    assert can_compose(database, f"pg_catalog.{config}")


def test_the_rest_is_left_to_the_copy(database_18: psycopg.Connection):
    english = "pg_catalog.english"
    assert not can_compose(database_18, english, *[f"<p>{text}</p>" for text in ENGLISH])
    assert not can_compose(database_18, english, *[f"id{i:x}z" for i in range(1000)])
    assert not can_compose(database_18, english, "2020-01-01T00:00:00Z", kind="timestamptz")


def test_a_thesaurus_looks_at_several_words(database_18: psycopg.Connection):
    database_18.execute(
        "CREATE TEXT SEARCH DICTIONARY phrases"
        " (TEMPLATE = thesaurus, DictFile = thesaurus_sample, Dictionary = english_stem);"
        "CREATE TEXT SEARCH CONFIGURATION own (COPY = pg_catalog.english);"
        "ALTER TEXT SEARCH CONFIGURATION own ALTER MAPPING FOR asciiword"
        " WITH phrases, english_stem"
    )
    assert not can_compose(database_18, "public.own", *ENGLISH)


def test_a_parser_of_its_own_is_not_foreseen(database_18: psycopg.Connection):
    database_18.execute(
        "CREATE TEXT SEARCH PARSER own (START = prsd_start, GETTOKEN = prsd_nexttoken,"
        " END = prsd_end, LEXTYPES = prsd_lextype);"
        "CREATE TEXT SEARCH CONFIGURATION own (PARSER = own);"
        "ALTER TEXT SEARCH CONFIGURATION own ADD MAPPING FOR asciiword, int, uint, float, numword"
        " WITH simple"
    )
    assert not can_compose(database_18, "public.own", *ENGLISH)
