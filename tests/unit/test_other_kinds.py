"""What is no table: told by what it is, whatever it is called, and never loaded."""

import gzip
import io
import json
import sqlite3
import tarfile

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest

from loader.errors import NotATable
from loader.formats.csv import opening
from loader.formats.format import Settings

TABLE = pa.table({"id": [1, 2], "name": ["a", "b"]})


def opened(data: bytes):
    settings = Settings(None, None, None, None, lambda _: False)
    return opening.open_table(io.BytesIO(data), settings)


def written(write) -> bytes:
    place = io.BytesIO()
    write(place)
    return place.getvalue()


def archive(place: io.BytesIO) -> None:
    with tarfile.open(fileobj=place, mode="w") as file:
        member = tarfile.TarInfo("data.csv")
        member.size = 8
        file.addfile(member, io.BytesIO(b"a,b\n1,2\n"))


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a, b)")
    return connection.serialize() if hasattr(connection, "serialize") else b"SQLite format 3\0"


PAGE = "<!DOCTYPE html><html><head><title>Log in</title></head><body>a, b, c</body></html>\n"
# kind: what is in the file, what it is called
TEXTS = {
    "a page": (PAGE, "an HTML page"),
    "a page in capitals": (PAGE.upper(), "an HTML page"),
    "a page with another attribute first": (
        '<html class="x" lang="de">\n<p>a</p>\n',
        "an HTML page",
    ),
    "a page behind a comment": (f"<!-- made at 10:15, by x -->\n{PAGE}", "an HTML page"),
    "a page behind blank lines": (f"\r\n\n   {PAGE}", "an HTML page"),
    "a page over lines": (PAGE.replace(">", ">\n"), "an HTML page"),
    "its head alone": ("<head><title>Moved</title></head>\n", "an HTML page"),
    "a table of a page": ("<table>\n<tr><td>a</td><td>b</td></tr>\n</table>\n", "an HTML page"),
    "a paragraph": ("<p>Not found, sorry</p>\n", "an HTML page"),
    "an error of PHP": ("<br />\n<b>Fatal error</b>: x, y in <b>z</b>\n", "an HTML page"),
    "a form": ('<form action="/login">\n<input name="a">,</form>\n', "an HTML page"),
    "a script": ("<script>location = 'x,y'</script>\n", "an HTML page"),
    "XML": ("<?xml version='1.0'?>\n<rows><row a='1' b='2'/></rows>\n", "an XML document"),
    "XML without a declaration": (
        "<rows>\n<row>1,2</row>\n<row>3,4</row>\n</rows>\n",
        "an XML document",
    ),
    "XML with a prefix": ('<gml:a xmlns:gml="x,y">\n<gml:b/>\n</gml:a>\n', "an XML document"),
    "an error of a store": ("<Error><Code>AccessDenied</Code></Error>\n", "an XML document"),
    "a feed": ('<rss version="2.0">\n<channel></channel></rss>\n', "an XML document"),
    "KML": ('<kml xmlns="x">\n<Document>1,2</Document></kml>\n', "an XML document"),
    "JSON": ('[{"a": 1, "b": 2},\n {"a": 3, "b": 4}]\n', "a JSON document"),
    "an object": ('{"error": "not found", "code": 404}\n', "a JSON document"),
    "an empty object": ("{}\n", "a JSON document"),
    "lines of JSON": ('{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "a JSON document"),
    "arrays": ("[[1, 2],\n [3, 4]]\n", "a JSON document"),
    "GeoJSON": ('{\n  "type": "FeatureCollection",\n  "features": []\n}\n', "a JSON document"),
    "RTF": ("{\\rtf1\\ansi a, b\\par\n1, 2\\par\n}\n", "an RTF document"),
    "PDF": ("%PDF-1.7\n%\xe2\xe3\n1 0 obj, <<>>\n", "a PDF"),
    "PostScript": ("%!PS-Adobe-3.0\n%%Pages: 1, 2\n", "a PostScript file"),
    "a pointer of Git LFS": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "a pointer of Git LFS",
    ),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize(("text", "kind"), TEXTS.values(), ids=TEXTS)
def test_a_text_that_is_no_table_is_refused_by_its_kind(text, kind, encoding):
    with pytest.raises(NotATable, match=f"the source is {kind}, not a CSV table") as raised:
        opened(text.encode(encoding))
    assert raised.value.hint


# kind: what is in the file, what it is called
BINARIES = {
    "Parquet": (written(lambda place: pyarrow.parquet.write_table(TABLE, place)), "a Parquet file"),
    "Arrow": (written(lambda place: pyarrow.feather.write_feather(TABLE, place)), "an Arrow file"),
    "Feather 1": (b"FEA1\0\0\0\0" + bytes(64), "an Arrow file"),
    "ORC": (written(lambda place: pyarrow.orc.write_table(TABLE, place)), "an ORC file"),
    "SQLite": (database(), "an SQLite database"),
    "Access": (b"\0\x01\0\0Standard Jet DB\0" + bytes(64), "an Access database"),
    "tar": (written(archive), "a tar archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\x04" + bytes(64), "a 7z archive"),
    "RAR": (b"Rar!\x1a\x07\x01\0" + bytes(64), "a RAR archive"),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(64), "an image"),
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01" + bytes(64), "an image"),
    "GIF": (b"GIF89a\x10\0\x10\0\x80\0\0" + bytes(64), "an image"),
    "TIFF": (b"II*\0\x08\0\0\0" + bytes(64), "an image"),
    "HDF5": (b"\x89HDF\r\n\x1a\n\0\0\0" + bytes(64), "a file of HDF5"),
    "a shapefile": (b"\0\0\x27\x0a" + bytes(96), "a shapefile"),
    "a program": (b"\x7fELF\x02\x01\x01\0" + bytes(64), "a program"),
    "MP4": (b"\0\0\0\x18ftypmp42\0\0\0\0" + bytes(64), "a video"),
    "anything": (bytes(range(256)) * 30, "a binary file"),
    "of a few bytes": (b"\x00\x01\x02\x03\x04\x05\x06\x07", "a binary file"),
}


@pytest.mark.parametrize(("data", "kind"), BINARIES.values(), ids=BINARIES)
def test_a_binary_file_is_refused_by_its_kind(data, kind):
    with pytest.raises(NotATable, match=f"the source is {kind}.*, not a CSV table") as raised:
        list(opened(data).blocks)
    assert raised.value.hint


# kind: a table that begins like something else
TABLES = {
    "a sign of less": "<5 km,>5 km\n1,2\n3,4\n",
    "a name in brackets": "<n>,<m>\n1,2\n3,4\n",
    "names in square brackets": "[id],[name]\n1,a\n2,b\n",
    "names in braces": "{id};{name}\n1;a\n2;b\n",
    "a tag in a cell": "id,text\n1,<b>bold</b>\n2,<p>x</p>\n",
    "JSON in cells": 'id,data\n1,"{""a"": 1}"\n2,"[1, 2]"\n',
    "a name of an image": "GIF89a,b\n1,2\n3,4\n",
    "a name of a format": "PAR1;ORC\n1;2\n3;4\n",
    "a per cent sign": "%PDF,b\n1,2\n3,4\n",
    "a version": "version,size\n1,2\n3,4\n",
    "MZ": "MZ,BM\n1,2\n3,4\n",
    "7z": "7z,Rar!\n1,2\n3,4\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_a_table_that_begins_like_something_else_is_one(text, encoding):
    table = opened(text.encode(encoding))
    assert len(table.headers) == 2
    assert sum(block.rows for block in table.blocks) == 2


def test_a_document_is_refused_however_large_it_is():
    rows = [{"id": n, "name": f"name {n}"} for n in range(50_000)]
    with pytest.raises(NotATable, match="a JSON document"):
        opened(json.dumps(rows).encode())
    lines = "".join(f"<tr><td>{n}</td></tr>\n" for n in range(50_000))
    with pytest.raises(NotATable, match="an HTML page"):
        opened(f"<table>\n{lines}</table>".encode())


def test_packed_content_that_nobody_unpacked_is_binary():
    with pytest.raises(NotATable, match="a binary file"):
        list(opened(gzip.compress(bytes(range(256)) * 100)).blocks)
