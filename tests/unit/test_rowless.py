"""A file with a header and no row empties a table: it has to look like one."""
# ruff: noqa: RUF001  (letters of other scripts are what this is about)

import csv
import io
import re
import unicodedata
from contextlib import contextmanager, suppress

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from loader.errors import AircanError, EmptySource, NoRows, NotATable, TableError
from loader.options import Options
from loader.scan import head
from loader.source.content import open_content


@contextmanager
def read(uri: str, options: Options):
    """Yield what the head of a file tells."""
    with open_content(uri, options.source) as content:
        yield head.read(content.stream, options.reading)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("rowless") / "t.csv"


def headers_of(place, data: bytes, **given) -> list[str]:
    """Return the header of a file that has no row."""
    place.write_bytes(data)
    with read(str(place), Options("t", **given)) as reading:
        assert list(reading.blocks) == []
        return [column.header for column in reading.columns]


def refusal(place, data: bytes, **given) -> AircanError:
    place.write_bytes(data)
    with (
        pytest.raises(AircanError) as refused,
        read(str(place), Options("t", **given)) as reading,
    ):
        list(reading.blocks)
    error = refused.value
    assert error.hint
    assert "\n" not in f"{error}{error.hint}"
    return error


# kind, text
PLAUSIBLE = {
    "names": "id,name\n",
    "no line end": "id,name",
    "CRLF and blank lines": "\r\nid,name\r\n\r\n",
    "semicolons": "Straße;Nr.;Größe in m²\n",
    "a comma in a name": "Name;Straße, Nr.;Ort\n",
    "tabs": "id\tname\n",
    "quotes": '"id","full name"\n',
    "names with spaces": "id,first name,last name,date of birth\n",
    "years": "region,2019,2020,2021\n",
    "an unnamed column": ",total,share\n",
    "signs": "#,%,€,name\n",
    "hashtags": "#country,#date,#value\n",
    "brackets": "[id],[name]\n",
    "brackets in a name": "id,length [m],flow [m³/s]\n",
    "a less-than sign": "id,NO2 <5 µm,a < b\n",
    "a colon": "id,Zeit: von,Zeit: bis\n",
    "spaces behind commas": "id, name, full name, date of birth\n",
    "a name in double quotes": '"id","the ""short"" name"\n',
    "a call": "id,count(id),max(height)\n",
    "a path": "id,unit\\path\n",
    "a per cent sign": "id,share %,100% of it\n",
    "Cyrillic": "номер,название улицы\n",
    "Chinese": "编号,名称\n",
    "Arabic": "الرقم,الاسم\n",
}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", PLAUSIBLE.values(), ids=PLAUSIBLE)
def test_a_header_alone_is_a_table_without_rows(place, text, encoding):
    # UTF-16 that neither a mark nor a line end and more than two NULs prove has to be named.
    data = text.encode(encoding)
    unproven = encoding.startswith("utf-16-") and ("\n" not in text or data.count(0) <= 2)
    expected = headers_of(place, text.encode())
    assert len(expected) > 1
    assert headers_of(place, data, encoding=encoding) == expected
    if unproven:
        refusal(place, data)
    else:
        assert headers_of(place, data) == expected


def schema_of(*names: str) -> dict:
    return {"schema": {"fields": [{"name": name} for name in names]}}


# kind: text, options
NAMED = {
    "one column": ("name\n", {"header_row": 1}),
    "one column of a schema": ("name\n", {"schema": {"fields": [{"name": "name"}]}}),
    "numbers": ("2019,2020,2021\n", {"header_row": 1}),
    "numbers of a schema": ("1,2\n", {"schema": {"fields": [{"name": "1"}, {"name": "2"}]}}),
    "a written line end": ("unit,path\\name\n", {"header_row": 1}),
    "a tag in a name": ("id,<b>name</b>\n", {"header_row": 1}),
    "below notes": ("Trees\nof 2020\nid,name\n", {"header_row": 3}),
    "below padded notes": ("Trees,,\nof 2020,,\nid,name,height\n", {"header_row": 3}),
    "below blank lines": ("\n\nid,name\n", {"header_row": 3}),
    "lines in a name": ('"id","amount\n(EUR)"\n', {"header_row": 1}),
    "lines in names, CRLF": ('"id\r\nno.","amount\r\n\r\n(EUR)"\r\n', {"header_row": 1}),
    "lines in a name, CR": ('id;"amount\r(EUR, net)"\r', {"header_row": 1}),
    "lines in a name of a schema": ('"id","a\nb"\n', schema_of("id", "a\nb")),
    "lines in a name of a schema of the table": ('id,"a\nb"," c"\n', schema_of("id", "a b", "c")),
    "what may be rows, of a schema": ('"id","a\n1,x"\n', schema_of("id", "a\n1,x")),
    "lines in one name of a schema": ('"amount\n(EUR)"\n', schema_of("amount\n(EUR)")),
    "lines in a note": ('"Trees\nof Berlin, 2020"\nid,"a\nb",c\n', {"header_row": 2}),
    "lines in a name below blank lines": ('\n\nid,"a\nb"\n', {"header_row": 3}),
    "a less-than sign": ("<5,id,x\n", {"header_row": 1}),
    "less-than signs and words": ("<5 km,<a,<b and c>\n", {"header_row": 1}),
    "a tag in quotes": ('"<b>",id\n', {"header_row": 1}),
    "brackets": ("[id] nr,[name] of it\n", {"header_row": 1}),
    "braces": ("{id},{name}\n", {"header_row": 1}),
    "calls": ('count("id"),sum([x])\n', {"header_row": 1}),
    "tags of a schema": ("<id>,<name>\n", schema_of("<id>", "<name>")),
}


@pytest.mark.parametrize(("text", "given"), NAMED.values(), ids=NAMED)
def test_what_is_a_header_by_somebodys_word_is_one(place, text, given):
    names = headers_of(place, text.encode(), **given)
    assert names == list(csv.reader(io.StringIO(text, newline=""), delimiter=names_apart(text)))[-1]


def names_apart(text: str) -> str:
    return ";" if ";" in text else ","


# kind: text, error, what it says
IMPLAUSIBLE = {
    "spaces": ("\n   \n", EmptySource, "nothing in it"),
    "tabs": ("\t\t\t\n", EmptySource, "nothing in it"),
    "commas": (",,,\n", EmptySource, "nothing in it"),
    "rows of semicolons": (";;;;\n;;;;\n", EmptySource, "nothing in it"),
    "many rows of commas": (",,\n" * 500, EmptySource, "nothing in it"),
    "more of them than are looked at": (",,,\n" * 300_000, EmptySource, "nothing in it"),
    "quotes": ('"",""\n"",""\n', EmptySource, "nothing in it"),
    "spaces in quotes": ('"  ";" "\n', EmptySource, "nothing in it"),
    "commas and spaces": (" , ,\n , ,\n", EmptySource, "nothing in it"),
    "spaces without a width": ("\u200b,\u2060\n", EmptySource, "no name"),
    "spaces that do not break": ("\xa0,\xa0\n", EmptySource, "nothing in it"),
    "a rule": ("------\n", EmptySource, "no name"),
    "a rule of columns": ("+---+---+|\n", EmptySource, "no name"),
    "dots": ("...,...\n", EmptySource, "no name"),
    "an array": ("[1,2]", NotATable, "JSON"),
    "an array of words": ('["id","name"]\n', NotATable, "JSON"),
    "an array in lines": ("[1,\n2]\n", NotATable, "JSON"),
    "arrays": ("[[1,2],[3,4]]", NotATable, "JSON"),
    "arrays in lines": ("[ [1,2],\n [3,4] ]", NotATable, "JSON"),
    "an array that is cut": ("[1,2", NotATable, "JSON"),
    "an array of names": ("[id,name]", NotATable, "JSON"),
    "no element": ("[]", NotATable, "JSON"),
    "a deep array": ("[" * 100_000, NotATable, "JSON"),
    "an object": ('{"a":1}', NotATable, "JSON"),
    "an object with a space": ('{ "a": 1, "b": 2 }\n', NotATable, "JSON"),
    "no member": ("{}", NotATable, "JSON"),
    "an object of Python": ("{'a': 1, 'b': 2}", NotATable, "JSON"),
    "an object without quotes": ("{a:1,b:2}", NotATable, "JSON"),
    "an object in a call": ('callback({"a":1,"b":2});', NotATable, "JSON"),
    "members alone": ('"a": 1, "b": 2', NotATable, "JSON"),
    "what begins like one": ("{rtf1,b}", NotATable, "JSON"),
    "a break": ("id,name<br>1,x", NotATable, "HTML or XML"),
    "a break of XHTML": ("id,name<br />1,x<br />", NotATable, "HTML or XML"),
    "a table": ("<table><tr><td>id</td><td>1,2</td></tr></table>", NotATable, "an HTML page"),
    "paragraphs": ("id,name</p><p>1,x", NotATable, "HTML or XML"),
    "an element": ("<a/>", NotATable, "an HTML page"),
    "an element with a name of its own": ('<ns:rows x="1,2">', NotATable, "HTML or XML"),
    "an element that is cut": ("<script src='a,b", NotATable, "HTML or XML"),
    "a part of an element": ("id,name=<table class='a' st", NotATable, "HTML or XML"),
    "a comment": ("id,name<!-- a -->", NotATable, "HTML or XML"),
    "a reference to a line end": ("id,name&#10;1,x", NoRows, "&#10;"),
    "one in hexadecimal": ("id,name&#x0D;1,x", NoRows, "&#x0D;"),
    "a line end of a URL": ("id,name%0D%0A1,x", NoRows, "%0D"),
    "a written line end": ("id,name\\n1,x", NoRows, r"\\n"),
    "one in hexadecimal digits": ("id,name\\x0a1,x", NoRows, r"\\x0a"),
    "one of JSON": ("id,name\\u000a1,x", NoRows, r"\\u000a"),
    "one of a workbook": ("id,name_x000a_1,x", NoRows, "_x000a_"),
    "the sign of a line end": ("id,name\u24241,x", NoRows, "\u2424"),
    "NULs": ("id,name\x001,x\x002,y\x00", NoRows, r"U\+0000"),
    "semicolons between rows": ("id,name;1,x;2,y;", NoRows, "';'"),
    "bars between rows": ("id,name|1,x|2,y", NoRows, r"'\|'"),
    "tabs between rows": ("id;name\t1;x", NoRows, r"U\+0009"),
    "carets between rows": ("id\tname^1\tx^", NoRows, r"'\^'"),
    "a word": ("Forbidden", NoRows, "Forbidden"),
    "a message": ("Not found\n", NoRows, "Not found"),
    "a sentence": ("Error: the rate limit is exceeded.", NoRows, "rate limit"),
    "a sentence with a comma": ("Sorry, not found.", NoRows, "a message"),
    "another": ("Error 404, the file that you want is away", NoRows, "a message"),
    "a part of JSON": ('ed": true, "rows', NotATable, "JSON"),
    "a smaller one": ('size", "rows', NoRows, "a part of a text"),
    "a long word": ("x" * 5000, NoRows, "x" * 60 + r"\.\.\."),
    "what is not separated": ("id:name:height\n", NoRows, "id:name:height"),
    "null": ("null", NoRows, "null"),
    "a row of numbers": ("1,2,3\n", NoRows, "looks like data"),
    "a row of numbers and dates": ("1;2020-01-01;0.5\n", NoRows, "looks like data"),
    "a row of numbers and gaps": ("1,,3\n", NoRows, "looks like data"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(("text", "error", "said"), IMPLAUSIBLE.values(), ids=IMPLAUSIBLE)
def test_what_is_no_header_alone_is_refused(place, text, error, said, encoding):
    refused = refusal(place, text.encode(encoding))
    if "\0" in text and encoding != "utf-8":  # NULs of more than one kind
        assert isinstance(refused, TableError)
        return
    assert type(refused) is error
    assert re.search(said, str(refused))


# kind: text, error: though the header's row is named
NO_HEADER = {
    "a stray quote": ('id,"name\n1,x\n2,y"\n', NoRows),
    "a stray quote, semicolons, CRLF": ('id;"name\r\n1;x\r\n2;y"\r\n', NoRows),
    "a quote around all": ('"id,name\n1,x\n2,y"\n', NoRows),
    "a quote around a column": ('"name\nx\ny"\n', NoRows),
    "a quote around all, semicolons": ('"id;name\n1;x\n2;y"\n', NoRows),
    "JSON in a call": ('show({"a":1,"b":[2]});\n', NotATable),
    "an element": ("<error code='4'>a, b</error>\n", NotATable),
    "the end of one": ("</p>,a\n", NotATable),
}


@pytest.mark.parametrize(("text", "kind"), NO_HEADER.values(), ids=NO_HEADER)
def test_a_header_that_is_named_is_none_if_it_cannot_be_one(place, text, kind):
    error = refusal(place, text.encode(), header_row=1)
    assert type(error) is kind


def test_the_way_round_that_a_hint_names_is_one(place):
    named, by_schema = 0, 0
    implausible = [text for text, _, _ in IMPLAUSIBLE.values()]
    for text in (
        *implausible,
        *(text for text, _ in NAMED.values()),
        *(text for text, _ in NO_HEADER.values()),
    ):
        for data in (text, "\n\n" + text):
            place.write_bytes(data.encode())
            try:
                with read(str(place), Options("t")) as reading:
                    list(reading.blocks)
                continue
            except AircanError as error:
                hint = error.hint or ""
            if row := re.search(r"header row ([1-9]\d*) takes it for a header", hint):
                assert headers_of(place, data.encode(), header_row=int(row[1]))
                named += 1
            if "a schema that declares all columns takes it for a header" in hint:
                records = csv.reader(io.StringIO(text, newline=""), delimiter=names_apart(text))
                names = next(records)
                assert headers_of(place, data.encode(), **schema_of(*names)) == names
                by_schema += 1
    assert named > 40
    assert by_schema > 20


# kind: text, header row
ROWS_ABOVE = {
    "the last of three": ("id,name\n1,x\n2,y\n", 3),
    "the last of three, no line end": ("id,name\n1,x\n2,y", 3),
    "the second of two": ("id,name\n1,x\n", 2),
    "of one column": ("name\nx\ny\n", 3),
    "blank lines between": ("id,name\n\n1,x\n", 3),
    "CR": ("id;name\r1;x\r2;y\r", 3),
    "the last of many": ("id,name\n" + "1,x\n" * 499, 500),
    "notes, and rows": ("Trees\nid,name\n1,x\n2,y\n", 4),
    "in quotes": ('"id","name"\n"1","x"\n"2","y, z"\n', 3),
    "in the quotes of a note": ('"Trees\nid,name\n1,x"\nid,name\n', 2),
}


@pytest.mark.parametrize(("text", "row"), ROWS_ABOVE.values(), ids=ROWS_ABOVE)
@pytest.mark.parametrize("named", ["option", "dialect"])
def test_a_header_that_is_named_is_none_where_rows_like_it_are_above(place, text, row, named):
    given = {"header_row": row} if named == "option" else {"dialect": {"headerRows": [row]}}
    error = refusal(place, text.encode(), **given)
    assert type(error) is NoRows
    assert error.row == row


# kind: text, row of the first
OF_NOTHING = {
    "one": ("id,name\n,\n", 2),
    "a tail": ("id,name\n" + ",\n" * 200, 2),
    "semicolons, CRLF": ("id;name;height\r\n;;\r\n;;\r\n", 2),
    "tabs": ("id\tname\n\t\n\t\n", 2),
    "spaces": ("id,name\n , \n  ,\n", 2),
    "short and long ones": ("id,name,height\n,\n,,,,\n", 2),
    "blank lines between": ("id,name\n\n,\n\n,\n", 3),
    "more than a block": ("id,name,height,date\n" + ",,,\n" * 2_000_000, 2),
}


@pytest.mark.parametrize(("text", "row"), OF_NOTHING.values(), ids=OF_NOTHING)
def test_rows_of_nothing_are_refused(place, text, row):
    error = refusal(place, text.encode())
    assert type(error) is NoRows
    assert error.row == row
    place.write_bytes(text.encode() + b"1\n")
    with read(str(place), Options("t")) as reading:
        assert sum(block.rows for block in reading.blocks)
    place.write_bytes(text.replace("\n", '\n"",""\n', 1).encode())
    with read(str(place), Options("t", header_row=1)) as reading:
        assert sum(block.rows for block in reading.blocks)


def test_no_header_makes_no_rows_of_nothing(place):
    assert type(refusal(place, b",,\n,,\n", header_row=0)) is EmptySource


@pytest.mark.parametrize("named", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp037", "cp500"])
@pytest.mark.parametrize(
    "written", ["utf-8", "ascii", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "cp1140"]
)
@pytest.mark.parametrize("rows", [0, 1, 2, 50])
@pytest.mark.parametrize("names", ["id,name", "id,größe", "编号,名称"])
@pytest.mark.parametrize("header_row", [None, 1])
def test_another_encoding_than_the_one_named_makes_no_table_without_rows(
    place, named, written, rows, names, header_row
):
    text = f"{names}\n" + "".join(f"{n},x{n}\n" for n in range(rows))
    try:
        place.write_bytes(text.encode(written))
    except UnicodeEncodeError:
        return
    try:
        with read(str(place), Options("t", encoding=named, header_row=header_row)) as reading:
            found = sum(block.rows for block in reading.blocks)
            headers = [column.header for column in reading.columns]
    except AircanError:
        return
    assert found == rows
    # EBCDIC has pages that differ in a few letters.
    assert headers == names.split(",") or {named, written} <= {"cp037", "cp500", "cp1140"}


# kind: how files of it begin
BINARY = {
    "rar": b"Rar!\x1a\x07\x01\x00\x33\x92\xb5\xe5\x0a\x01\x05\x06\x00\x05\x01\x01\x80\x80\x00",
    "rar 4": b"Rar!\x1a\x07\x00\xcf\x90\x73\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x00",
    "7z": b"7z\xbc\xaf\x27\x1c\x00\x04\xb3\x5d\x1f\x02\x0e\x00\x00\x00\x00\x00\x00\x00\x5a",
    "cab": b"MSCF\x00\x00\x00\x00\x2c\x01\x00\x00",
    "lzip": b"LZIP\x01\x0c\x00\x33",
    "zlib": b"x\x9c\xcbL\xd1I\xcc\xcd\xcd\xd41\xe42\xd4H\xe22\xd2\x04\x8b\x02",
    "compress": b"\x1f\x9d\x90\x69\xc8\xb0\x61\xf3",
    "zoo": b"ZOO 2.10 Archive.\x1a\x00\x00\xdc\xa7\xc4\xfd",
    "exe": b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00\xb8\x00\x00\x00",
    "elf": b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00",
    "wasm": b"\x00asm\x01\x00\x00\x00\x01\x07\x01",
    "class": b"\xca\xfe\xba\xbe\x00\x00\x00\x34\x00\x1d",
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00\x00\x00\x01\x00\x08\x06",
    "jng": b"\x8bJNG\r\n\x1a\n\x00\x00\x00\rJHDR\x00\x00\x01\x00",
    "hdf5": b"\x89HDF\r\n\x1a\n\x00\x00\x00\x00\x00\x08\x08\x00\x04\x00\x10\x00",
    "gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04",
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x01\x00H\x00H\x00\x00\xff\xdb",
    "tiff": b"II*\x00\x08\x00\x00\x00\x0f\x00\xfe\x00\x04\x00",
    "tiff, of Macs": b"MM\x00*\x00\x00\x00\x08\x00\x0f\x01\x00",
    "bmp": b"BM\x36\x00\x0c\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00",
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00",
    "wav": b"RIFF\x24\x08\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x02\x00",
    "sqlite": b"SQLite format 3\x00\x10\x00\x01\x01\x00\x40\x20\x20\x00\x00\x00\x02",
    "parquet": b"PAR1\x15\x04\x15\x20\x15\x22\x4c\x15\x02\x15\x00\x12\x00\x00\x10\x3c",
    "arrow": b"ARROW1\x00\x00\xff\xff\xff\xff\x78\x00\x00\x00\x10\x00\x00\x00",
    "orc": b"ORC\x08\x03\x10\x02\x1a\x05",
    "avro": b"Obj\x01\x04\x14avro.codec\x08null\x16avro.schema",
    "ole": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00\x00\x00",
    "xls 2": b"\x09\x00\x04\x00\x02\x00\x10\x00\x31\x00",
    "xls 4": b"\x09\x04\x06\x00\x00\x00\x10\x00\x0b\x00\x14\x00",
    "xls 5": b"\x09\x08\x10\x00\x00\x06\x05\x00\xbb\x0d\xcc\x07",
    "dbf": b"\x03\x5f\x07\x1a\x05\x00\x00\x00\x61\x00\x1f\x00\x00\x00\x00\x00",
    "mdb": b"\x00\x01\x00\x00Standard Jet DB\x00\x01\x00",
    "sav": b"$FL2@(#) SPSS DATA FILE MS Windows",
    "pickle": b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01u.",
    "pickle 4": b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a",
    "npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False}",
    "ogg": b"OggS\x00\x02\x00\x00\x00\x00",
    "mp3": b"ID3\x03\x00\x00\x00\x00\x0fv",
    "mp4": b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00",
    "msgpack": b"\x82\xa2id\x01\xa4name\xa1x",
    "der": b"\x30\x82\x04\xa3\x02\x01\x00\x02\x82\x01\x01\x00",
    "git": b"PACK\x00\x00\x00\x02\x00\x00\x00\x05",
    "pcap": b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00",
}


@pytest.mark.parametrize("begin", BINARY.values(), ids=BINARY)
def test_the_first_bytes_of_a_binary_file_are_no_table(place, begin):
    for size in range(4, 65):
        data = (begin * 16)[:size]
        if size <= len(begin):
            error = refusal(place, data)
            assert "binary" not in str(error) or error.option == "encoding"
            continue
        place.write_bytes(data)
        with suppress(AircanError), read(str(place), Options("t")) as reading:
            assert list(reading.blocks)


@given(st.binary(min_size=1, max_size=64))
@example(b"\t,A")
@example(b"0|\xad")
@example(b"\ta\xd1\xf0")
def test_no_few_bytes_are_a_table_without_rows_but_a_header(place, data):
    place.write_bytes(data)
    try:
        with read(str(place), Options("t")) as reading:
            assume(not list(reading.blocks))
            headers = [column.header for column in reading.columns]
    except AircanError:
        return
    assert len(headers) > 1
    letters = set("".join(headers)) - {"\n", "\t"}
    assert all(letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in letters)


@pytest.mark.parametrize("unseen", ["\u00ad", "\uf8ff", "\u202e", "\U000e0001"], ids=ascii)
def test_a_name_that_cannot_be_seen_is_taken_if_its_row_is_named(place, unseen):
    data = f"year,sp{unseen}ecies\n".encode()
    assert "cannot be seen" in str(refusal(place, data))
    assert headers_of(place, data, header_row=1) == ["year", f"sp{unseen}ecies"]


def test_words_of_persian_and_hindi_are_names(place):
    names = ["\u0645\u06cc\u200c\u0634\u0648\u062f", "\u0915\u094d\u200d\u0937"]
    assert headers_of(place, ",".join(names).encode()) == names


@given(
    st.lists(st.text("abcxyzäб国ا _-", min_size=1, max_size=12), min_size=2, max_size=40),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r", ""]),
)
def test_names_between_delimiters_are_a_header(place, names, delimiter, end):
    assume(all(letters.strip(" _-") for letters in names))
    data = (delimiter.join(names) + end).encode()
    assert headers_of(place, data) == names
