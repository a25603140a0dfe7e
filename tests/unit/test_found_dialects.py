"""Whatever dialect a table is written in, it is read back; whatever a text is, no row changes."""

import csv
import io
import random
from collections import Counter
from dataclasses import replace

import pytest
from csv_files import opened, rows_of
from hypothesis import example, given
from hypothesis import strategies as st

from loader.errors import AircanError
from loader.formats.csv import plain
from loader.formats.csv.dialect import Dialect

# name: text, delimiter, header's cells, rows
FOUND = {
    # unusual delimiters
    "hash": ("town#zip\nAbla, Sur#04510\nAdra#04007\n", "#", ["town", "zip"], 2),
    "caret, decimal commas": ("n^v\n1^2,5\n3^4,75\n", "^", ["n", "v"], 2),
    "tilde, accents": ("Straße~Ort\nAm Markt, 3~Köln\nAllee 1~Bonn\n", "~", ["Straße", "Ort"], 2),
    "colon, no header": ("root:x:0:/\nbin:x:1:/\nsys:x:2:/dev\n", ":", [""] * 4, 3),
    "space": ("x y z\n1.5 2.5 3.5\n4.5 5 6\n", " ", ["x", "y", "z"], 2),
    "space, cells in quotes": (
        'name town\n"Jo A" Bonn\n"Li B" "La Paz"\n',
        " ",
        ["name", "town"],
        2,
    ),
    "runs of spaces": ("  x    y\n 1.0  2.0\n10.0  3.5\n", " ", ["x", "y"], 2),
    "two spaces or more": ("name     n\nOld Oak  5\nNew Fir  66\n", "\t", ["name", "n"], 2),
    "comma and space": ("id, name\n1, x\n2, y\n", ",", ["id", "name"], 2),
    "semicolon and space": ("id; v\r\n1; 2,5\r\n2; 3,5\r\n", ";", ["id", "v"], 2),
    # where two delimiters are as regular
    "semicolons, decimal commas": ("a;b\n1;2,5\n3;4,5\n", ";", ["a", "b"], 2),
    "semicolons, decimal commas, no header": ("1;2,5\n3;4,5\n2;2,5\n", ";", ["", ""], 3),
    "tabs, a comma in each cell": (
        "a, b\tc, d\nx, y\tz, u\nv, w\tq, r\n",
        "\t",
        ["a, b", "c, d"],
        2,
    ),
    "pipes, thousands": ("n|v\n1|1,234\n2|5,678\n", "|", ["n", "v"], 2),
    # free text
    "addresses": ("address\n12 High St, Leeds\n4 Low Rd, York\n", "\x1f", ["address"], 2),
    "decimal commas": ("value\n1,5\n2,5\n3,75\n", "\x1f", ["value"], 3),
    "sentences": ("text\nWell, yes\nNo, no, no\nMay be\n", "\x1f", ["text"], 3),
    "a list in each cell": ("tags\na;b\nc;d\ne;f\n", ",", ["tags"], 3),
    "times": ("at\n10:15\n11:20\n", ",", ["at"], 2),
    "moments": ("when\n2020-01-01 10:15\n2020-01-02 11:15\n", ",", ["when"], 2),
    "URLs": ("url\nhttp://a.org/b#x\nhttp://c.org:80/d#y\n", ",", ["url"], 2),
    "names of people": ("full name\nJo Miller\nLi Chen\n", ",", ["full name"], 2),
    "groups of digits": ("people\n1 234\n56 789\n", ",", ["people"], 2),
    "ragged rows": ("a,b,c\n1,2,3\n1\n1,2\n4,5,6\n1,2\n", ",", ["a", "b", "c"], 5),
    # no header
    "no header, a decimal and a repeated text": (
        "1,a.wav,ma,3.14\n2,b.wav,bu,1.19\n3,c.wav,ma,1.38\n",
        ",",
        [""] * 4,
        3,
    ),
    "no header, dates": ("2020-01-05;x;3\n2020-02-06;y;5\n2020-02-07;z;4\n", ";", [""] * 3, 3),
    "no header, local dates": ("x|31.12.2020\ny|01.02.2021\nz|03.04.2021\n", "|", ["", ""], 3),
    "years are names": ("name,2019,2020\nLeeds,5,6\nYork,7,8\n", ",", ["name", "2019", "2020"], 2),
    "doses are names": ("gene,0.1,0.5\nA,3.2,4.1\nB,3.3,2.0\n", ",", ["gene", "0.1", "0.5"], 2),
    "words are names": ("red,town\nred,York\nblue,Hull\n", ",", ["red", "town"], 2),
    # comments
    "comments above": ("# by me\n# CC0\nid;n\n1;2\n3;4\n", ";", ["id", "n"], 2),
    "a comment as wide as the table": (
        "# a, b, c\nid,x,n\n1,a,5\n2,b,6\n",
        ",",
        ["id", "x", "n"],
        2,
    ),
    "comments between rows": ("id,n\n1,5\n# two\n2,6\n", ",", ["id", "n"], 2),
    "a comment between rows, as wide": ("id,n\n1,5\n# a, b\n2,6\n", ",", ["id", "n"], 2),
    "per cent": ("% x\n% y\nid\tn\n1\t2\n% z\n3\t4\n", "\t", ["id", "n"], 2),
    "slashes": ("// x\nid,n\n1,2\n3,4\n", ",", ["id", "n"], 2),
    "a comment with a stray quote": ('# say, "x\nid,n\n1,2\n3,4\n', ",", ["id", "n"], 2),
    "a name with the sign": ("# of trees,kind\n5,oak\n6,fir\n", ",", ["# of trees", "kind"], 2),
    "the sign is a name": ("#,kind\n1,oak\n2,fir\n", ",", ["#", "kind"], 2),
    "colours": ("colour,n\n#ff00aa,1\n#00ff00,2\nred,3\n", ",", ["colour", "n"], 3),
    "numbers with the sign": ("id,n\n#1,5\n#2,6\n3,7\n", ",", ["id", "n"], 3),
    "words with the sign": ("tag\n#a\n#b\nc\n", ",", ["tag"], 3),
    # notes
    "a title padded over two columns": ("Budget,\nyear,n\n2019,1\n2020,2\n", ",", ["year", "n"], 2),
    "a title wider than the table": ("By A, B, C\nx;y\n1;2\n3;4\n", ";", ["x", "y"], 2),
    "a note with more delimiters": ("By A,on B,2017,\ncm,%T\n1.5,2\n3.5,4\n", ",", ["cm", "%T"], 2),
    "a label and its value": ("Account,7 Main,,\na,b,c,d\n1,2,3,4\n5,6,7,8\n", ",", [*"abcd"], 2),
    "more notes than rows": ("A\nB\nC\nD\nE\na;b\n1;2\n3;4\n", ";", ["a", "b"], 2),
    # instructions
    "sep": ("sep=;\nname;n\na;1\nb;2\n", ";", ["name", "n"], 2),
    "sep in quotes, CRLF": ('"sep=|"\r\nname|n\r\na|1\r\n', "|", ["name", "n"], 1),
    "sep of a tab, and a comma in each cell": ("SEP=\t\na,b\tc\n1,2\t3\n", "\t", ["a,b", "c"], 1),
    "sep of a sign": ("sep=!\na!b\n1!2\n", "!", ["a", "b"], 1),
    # quotes
    "literal quotes": ('n\tt\n0\t"A"_is\n0\t"W"_Al\n0\t"!"\n0\tZ\n', "\t", ["n", "t"], 4),
    "quotes that never close": ('n|y\n"A" GMBH|1\n"B|2\nC|3\n"D" SA|4\n', "|", ["n", "y"], 4),
    "single quotes": ("a,b\n'x, y',1\n'z, u',2\n", ",", ["a", "b"], 2),
    "single quotes around all": ("'a';'b'\n'x';'1'\n'y';'2'\n", ";", ["a", "b"], 2),
    "apostrophes": ("a,b\n'tis,1\nrock 'n' roll,2\n", ",", ["a", "b"], 2),
    "backslashes before quotes": ('"a","b"\n"1","say \\"x\\""\n"2","y"\n', ",", ["a", "b"], 2),
    "backslashes before delimiters": ("a,b\n1,x\\, y\n2,z\n", ",", ["a", "b"], 2),
    "backslashes in paths": ('a,b\n1,C:\\x\n2,"D:\\y\\"\n', ",", ["a", "b"], 2),
    "spaces in front of quotes": ('"a", "b"\n1, "x, y"\n2, "z"\n', ",", ["a", "b"], 2),
    "a stray quote in the header": ('d,n,"t\nx,1,"a, b"\ny,2,z\n', ",", ["d", "n", '"t'], 2),
}


@pytest.mark.parametrize(("text", "delimiter", "headers", "rows"), FOUND.values(), ids=FOUND)
def test_a_dialect_is_found(text, delimiter, headers, rows):
    table = opened(io.BytesIO(text.encode()))
    loaded, rejects = rows_of(table)
    assert (table.delimiter, list(table.headers), len(loaded)) == (delimiter, headers, rows)
    assert not rejects


# name: text, what the report says
TOLD = {
    "comments": ("id,n\n1,5\n# two\n2,6\n# three\n", "lines of comment left out: 2"),
    "no header": ("2020-01-05;x\n2020-02-06;y\n2020-02-07;z\n", "no header was found"),
    "a quote in the header": ('d,n,"t\nx,1,"a, b"\ny,2,z\n', "a quote in the header, row 1"),
}


@pytest.mark.parametrize(("text", "told"), TOLD.values(), ids=TOLD)
def test_what_may_be_wrong_is_told(text, told):
    table = opened(io.BytesIO(text.encode()))
    rows_of(table)
    assert any(told in finding for finding in table.findings())


# name: body below `id,name,n`, rows set aside, rows loaded
STRAY = {
    "text behind a closing quote": ('1,"a" b,2\n3,"c, d",4\n', [2], 1),
    "a quote that takes a row": ('1,"a,2\n3,"c, d",4\n5,"e, f",6\n', [2], 2),
    "a quote that takes three": ('1,"a,2\n3,b,4\n5,c,6\n7,"c, d",8\n', [2], 3),
    "the quote of a row that is shifted": ('1,"x, y",2\n"3,Bob,"R, T",4\n5,"z, u",6\n', [3], 2),
    "two stray quotes": ('1,a",2\n3,"b,4\n5,c,6\n7,"d",8\n9,"e, f",1\n', [3], 4),
    "a quote that takes the rest": ('1,"x, y",2\n3,"b,4\n5,c,6\n7,d,8\n9,e,1\n', [3], 4),
    "a cell of several lines": ('1,"a\nb, c\n",2\n3,"c, d",4\n', [], 2),
    "a cell of lines like rows": ('1,"a,b,c\nd,e,f",2\n3,"c, d",4\n', [], 2),
}


@pytest.mark.parametrize(("body", "set_aside", "loaded"), STRAY.values(), ids=STRAY)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_stray_quote_takes_no_other_row(body, set_aside, loaded, line_end):
    text = ("id,name,n\n" + body).replace("\n", line_end)
    rows, rejects = rows_of(opened(io.BytesIO(text.encode())))
    assert ([reject.row for reject in rejects], len(rows)) == (set_aside, loaded)


def test_what_is_found_in_the_head_holds_behind_it():
    """Comments, spaces and stray quotes are far behind the first mebibyte, too."""
    rows = [f'{number}, "name, {number}"\n' for number in range(200_000)]
    rows[150_000] = '# a comment, with a "\n'
    rows[170_000] = '170000, "name", x" y\n'
    table = opened(io.BytesIO(("# by me\n# CC0\nid, name\n" + "".join(rows)).encode()))
    loaded, rejects = rows_of(table)
    assert len(loaded) == 200_000 - 2
    assert [reject.row for reject in rejects] == [170_004]
    assert "lines of comment left out: 1" in table.findings()
    assert loaded[-1] == ["199999", "name, 199999"]


NAMES = ["Anna", "Bob", "Élodie", "Fritz", "Gül", "José", "Müller", "Søren", "Tom"]
WORDS = [
    "the",
    "tree",
    "was",
    "cut",
    "in",
    "spring,",
    "and",
    "nobody",
    "said",
    "why;",
    "it",
    "stood",
]
COLUMNS = {
    "id": lambda r, i: str(i + 1),
    "count": lambda r, i: str(r.randint(0, 5000)),
    "price": lambda r, i: f"{r.uniform(0, 999):.2f}",
    "preis": lambda r, i: f"{r.randint(0, 999)},{r.randint(0, 99):02d}",
    "date": lambda r, i: f"{r.randint(1990, 2024)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}",
    "datum": lambda r, i: f"{r.randint(1, 28):02d}.{r.randint(1, 12):02d}.{r.randint(1990, 2024)}",
    "us": lambda r, i: f"{r.randint(1, 12)}/{r.randint(1, 28)}/2020 {r.randint(0, 23):02d}:15",
    "name": lambda r, i: r.choice(NAMES),
    "full": lambda r, i: f"{r.choice(NAMES)} {r.choice(NAMES)}",
    "address": lambda r, i: f"{r.randint(1, 200)} {r.choice(['High St', 'Via Roma'])}, York",
    "remark": lambda r, i: " ".join(r.choice(WORDS) for _ in range(r.randint(2, 12))) + ".",
    "time": lambda r, i: f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}",
    "url": lambda r, i: f"http://example.org/{r.choice(NAMES)}?a={i}#x",
    "quote": lambda r, i: r.choice(['he said "no"', '8" pipe', 'the "Old" Mill', "it's", "plain"]),
    "lines": lambda r, i: r.choice(["one\ntwo, three", "single", "a\n\nb"]),
    "some": lambda r, i: r.choice(["", str(r.randint(1, 9))]),
}
Table = list[list[str]]


def made(seed: int) -> Table:
    """Make a table of one to 12 columns, and a header."""
    r = random.Random(seed)
    kinds = [r.choice([*COLUMNS]) for _ in range(r.choice([1, 2, 3, 5, 8, 12]))]
    if kinds == ["some"]:
        kinds = ["id"]  # alone, its empty cells would be blank lines
    names = [f"{kind}{place}" for place, kind in enumerate(kinds)]
    return [names, *([COLUMNS[k](r, i) for k in kinds] for i in range(r.choice([2, 3, 10, 60])))]


def written(rows: Table, **form) -> str:
    text = io.StringIO()
    csv.writer(text, **{"lineterminator": "\n", **form}).writerows(rows)
    return text.getvalue()


WRITTEN = {
    **{
        f"{delimiter!r} {end!r}": lambda t, d=delimiter, e=end: written(
            t, delimiter=d, lineterminator=e
        )
        for delimiter in ",;\t|#^~ "
        for end in ("\n", "\r\n")
    },
    "all in quotes": lambda t: written(t, quoting=csv.QUOTE_ALL),
    "all in quotes, semicolons": lambda t: written(t, quoting=csv.QUOTE_ALL, delimiter=";"),
    "backslashes": lambda t: written(t, escapechar="\\", doublequote=False),
    "backslashes, all": lambda t: written(
        t, escapechar="\\", doublequote=False, quoting=csv.QUOTE_ALL
    ),
    "comments": lambda t: "# Source: city, register\n# CC BY\n" + written(t),
    "a comment": lambda t: "# Source: city register, 2020\n" + written(t),
    "sep": lambda t: "sep=;\n" + written(t, delimiter=";"),
    "sep in quotes": lambda t: '"sep=|"\r\n' + written(t, delimiter="|", lineterminator="\r\n"),
}
TABLES = 30


@pytest.mark.parametrize("form", WRITTEN.values(), ids=WRITTEN)
def test_every_table_is_read_back(form):
    """All of them: what the rows are, and how they are written, leaves no doubt."""
    read = Counter()
    for seed in range(TABLES):
        rows = made(seed)
        table = opened(io.BytesIO(form(rows).encode()))
        loaded, _ = rows_of(table)
        read[[list(table.headers), *loaded] == rows] += 1
    assert read == {True: TABLES}


ALPHABETS = ["a1,\n", 'a1,"\n', 'a1;"\n ', "a,1;\"'\\\r\n# ", "a1 \n", 'a1,"\\\n', "#a1,\n"]
BEGINNINGS = ["", "a,b\n", "x;y\n", "a b c\n", '"a","b"\n', 'a, "b"\n', "# c\na,b\n"]


@given(
    st.sampled_from(BEGINNINGS),
    st.sampled_from(ALPHABETS).flatmap(lambda letters: st.text(letters, max_size=40)),
)
@example("a,b\n", ',"a11a\n\naaa\n\n"\n"11,\n,"\n\n1a"""\n,1,1\n\n\n')
@example("# c\na,b\n", ',"\n1",1a1a"\n1"a\n')
@example("a,b\n", '\n\n\n\\#a\\a 1#\r"\n1\n1; \r;"\r# #')
@example('a, "b"\n', ' ;1aa"#\\"; \n#11\\, \n,')
def test_no_row_differs_from_what_pythons_csv_reads(begin, text):
    """Every row is what its record says; and where none is set aside, no record is missing."""
    data = (begin + text).encode()
    try:
        table = opened(io.BytesIO(data))
        blocks = [(block, table.parse(block)) for block in table.blocks]
    except AircanError:
        return
    dialect, width = table.dialect, len(table.headers)
    loaded = []
    for block, parsed in blocks:
        columns = [column.fill_null("").to_pylist() for column in parsed.cells]
        for place, cells in zip(
            parsed.positions.tolist(), map(list, zip(*columns, strict=True)), strict=True
        ):
            [record] = filter(None, read_by_csv(block.record(place).decode(), dialect))
            assert cells == fitted(record, width)
            loaded.append((block.row_number(place), cells))
    if not any(parsed.rejects for _, parsed in blocks) and not dialect.comment:
        body = data[dialect.begin :].decode()
        records = [record for record in read_by_csv(body, dialect) if any(record)]
        filled = [cells for _, cells in sorted(loaded) if any(cells)]
        assert filled == [fitted(record, width) for record in records]


def read_by_csv(text: str, dialect: Dialect) -> list[list[str]]:
    return list(
        csv.reader(
            io.StringIO(text, newline=""),
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            doublequote=dialect.double_quote,
            escapechar=dialect.escape,
            skipinitialspace=dialect.skip_initial_space,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
            strict=not dialect.escape,
        )
    )


def fitted(record: list[str], width: int) -> list[str]:
    """Pad a record, or leave out what is empty behind its end."""
    record = record + [""] * (width - len(record))
    while len(record) > width and not record[-1]:
        record.pop()
    return record


SPACED = {
    "comma": Dialect(skip_initial_space=True),
    "runs of spaces": Dialect(delimiter=" ", skip_initial_space=True),
    "single quotes": Dialect(quote="'", skip_initial_space=True),
    "no quotes": Dialect(quote=None, skip_initial_space=True),
    "escapes": Dialect(skip_initial_space=True, escape="\\"),
}


@pytest.mark.parametrize("dialect", SPACED.values(), ids=SPACED)
@given(text=st.text("a1, \"'\n", max_size=40))
@example(text='a, "b ""c"" d" , e\n"  x\n  y",  z\n')
def test_spaces_left_out_are_those_that_pythons_csv_leaves_out(dialect, text):
    lax = replace(dialect, escape=None)
    rewritten = plain.rewrite(text.encode(), dialect)[0].decode()
    assert without_ends(read_lax(rewritten, lax, skips=False)) == without_ends(
        read_lax(text, lax, skips=True)
    )


@pytest.mark.parametrize(
    "dialect",
    [*SPACED.values(), Dialect(delimiter="\t", wide=True), Dialect(comment="#")],
    ids=[*SPACED, "wide", "comments"],
)
@given(text=st.text('a, \t"\n#\\', max_size=40))
def test_a_text_rewritten_twice_stays_as_it_is(dialect, text):
    once, _ = plain.rewrite(text.encode(), dialect)
    assert plain.rewrite(once, dialect) == (once, 0)
    assert once.count(b"\n") == text.count("\n")


def read_lax(text: str, dialect: Dialect, *, skips: bool) -> list[list[str]]:
    return list(
        csv.reader(
            io.StringIO(text, newline=""),
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            skipinitialspace=skips,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        )
    )


def without_ends(records: list[list[str]]) -> list[list[str]]:
    """Without the empty cell that a space at a line's end makes, where it is the delimiter."""
    return [record for record in (fitted(record, 0) for record in records) if record]


# name: file, header, rows
IN_CELLS = {
    "a sign before the first number": (
        b"Wert;Ort\n<0,5;Ulm\n7,1;Bonn\n8,1;Kiel\n",
        ["Wert", "Ort"],
        3,
    ),
    "commas in the header": (
        b"Name;Geo (Lat,Lon)\nA;48.10,11.20\nB;48.11,11.21\n",
        ["Name", "Geo (Lat,Lon)"],
        2,
    ),
    "lists": (b"Name;Tags (a,b,c)\nx;a,b,c\ny;d,e,f\n", ["Name", "Tags (a,b,c)"], 2),
    "names with commas": (
        b"Name, Vorname;Strasse, Nr.\nM, Hans;Weg, 5\nN, Eva;Gasse, 7\n",
        ["Name, Vorname", "Strasse, Nr."],
        2,
    ),
    "bars": (b"Name,Vorname|Ort,Land\nA,B|C,D\nE,F|G,H\n", ["Name,Vorname", "Ort,Land"], 2),
    "an empty corner": (b";2018;2019\nDE;1,5;2,5\nFR;3,5;4,5\n", ["", "2018", "2019"], 2),
    "a title and units": (
        b"Wanderwege 2020\nOrt;L\xc3\xa4nge\nUlm;47,52 km\nBonn;42,78 km\nKiel;82,19 km\n",
        ["Ort", "Länge"],
        3,
    ),
    "a title, names with commas": (
        b"Personen 2020\n\nName;Ort\nM\xc3\xbcller,Hans;Ulm\nMeier,Eva;Bonn\nBock,Tim;Kiel\n",
        ["Name", "Ort"],
        3,
    ),
    "a title, coordinates": (
        b"Orte 2020\nGeo;Name\n48.1,11.5;Ulm\n48.2,11.6;Bonn\n48.2,11.6;Bonn\n",
        ["Geo", "Name"],
        3,
    ),
    "a title of one word": (
        b"Vereine\n\nName;Ort;Vorsitz\nTSV;Ulm;Meier\nFC;Bonn;Bock\n",
        ["Name", "Ort", "Vorsitz"],
        2,
    ),
    "a title of one word, no blank line": (
        b"Vereine\nName;Ort;Vorsitz\nTSV;Ulm;Meier\nFC;Bonn;Bock\n",
        ["Name", "Ort", "Vorsitz"],
        2,
    ),
    "a title of one word, commas": (
        b"Vereine\n\nName,Ort,Vorsitz\nTSV,Ulm,Meier\nFC,Bonn,Bock\n",
        ["Name", "Ort", "Vorsitz"],
        2,
    ),
    "a currency": (b"Preis\n77983,33 K\xc4\x8d\n95134,45 K\xc4\x8d\n", ["Preis"], 2),
    "groups with spaces": (b"Wert EUR\n1 234\n2 345\n", ["Wert EUR"], 2),
    "more groups": (b"Zahl in Tsd\n1 234 567\n2 345 678\n", ["Zahl in Tsd"], 2),
    "a currency in front": (
        b"Preis EUR\n\xe2\x82\xac 863,5\n\xe2\x82\xac 830,7\n",
        ["Preis EUR"],
        2,
    ),
    "a padded title, an empty row below": (
        b"Liste;\n;\nName;Ort\nA;Ulm\nB;Bonn\n",
        ["Name", "Ort"],
        2,
    ),
    "rows that begin as comments do, far down": (
        b"# by x\nTag;b\n" + b"w;x\n" * 300 + b"#metoo;y\n#fff;z\n",
        ["Tag", "b"],
        302,
    ),
    "the same, of numbers": (
        b"# by x\nNr;b\n" + b"7;x\n" * 300 + b"#301;y\n#302;z\n",
        ["Nr", "b"],
        302,
    ),
    "notes below": (
        b"Stadt;Wert;Datum\nA;1,5;31.12.2020\n\nQuelle: Destatis\nStand: 2020\n",
        ["Stadt", "Wert", "Datum"],
        3,
    ),
    "notes right below": (
        b"Stadt;Wert\nUlm;5\nQuelle: Destatis\nStand: 2020\n",
        ["Stadt", "Wert"],
        3,
    ),
}


@pytest.mark.parametrize(("data", "headers", "count"), IN_CELLS.values(), ids=IN_CELLS)
def test_what_stands_in_cells_or_around_a_table_makes_no_other_one(data, headers, count):
    table = opened(io.BytesIO(data))
    assert table.headers == headers
    assert sum(block.rows for block in table.blocks) == count
