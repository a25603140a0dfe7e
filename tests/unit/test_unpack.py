"""Packed content, told by its first bytes and unpacked while it streams."""

import bz2
import gzip
import io
import lzma
import tempfile
import zipfile
import zlib
from collections import deque
from dataclasses import replace

import pytest
from backports import zstd
from http_server import HttpServer
from hypothesis import example, given
from hypothesis import strategies as st

from loader.errors import (
    CompressionError,
    NotATable,
    SourceChanged,
    SourceError,
    SourceTooLarge,
)
from loader.net.limits import Limits
from loader.net.settings import SourceSettings
from loader.source.stream import open_source
from loader.source.unpack import unpack

TEXT = b"id,name\n" + b"".join(b"%d,name of %d\n" % (n, n * n) for n in range(5_000))
IMPATIENT = SourceSettings(retries=2, backoff_s=0.01, read_timeout_s=5)


def zipped(*members, method=zipfile.ZIP_DEFLATED):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def commented(comment: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("data.csv", TEXT)
        archive.comment = comment
    return packed.getvalue()


PACKERS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
    "zip": lambda data: zipped(("data.csv", data)),
    "zip, stored": lambda data: zipped(("data.csv", data), method=zipfile.ZIP_STORED),
}
COMPRESSED = {name: pack for name, pack in PACKERS.items() if name != "plain"}


@pytest.fixture
def write(tmp_path):
    def write(data: bytes, name: str = "data.csv") -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


def content_of(uri: str, size: int = 1 << 16) -> bytes:
    with open_source(uri, IMPATIENT) as source, unpack(source) as stream:
        return b"".join(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS.keys())
@pytest.mark.parametrize("name", ["data.csv", "data.gz", "data"])
def test_the_first_bytes_tell_what_it_is_and_the_name_does_not(pack, name, write):
    assert content_of(write(pack(TEXT), name)) == TEXT


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS.keys())
def test_over_http_too(pack):
    with HttpServer(pack(TEXT)) as server:
        assert content_of(server.url) == TEXT


@pytest.mark.parametrize("outer", COMPRESSED.values(), ids=COMPRESSED)
@pytest.mark.parametrize("inner", COMPRESSED.values(), ids=COMPRESSED)
def test_what_is_packed_twice_is_unpacked_twice(outer, inner, write):
    packed = outer(inner(TEXT))
    assert content_of(write(packed)) == TEXT
    with HttpServer(packed) as server:
        assert content_of(server.url) == TEXT


@pytest.mark.parametrize("outer", COMPRESSED.values(), ids=COMPRESSED)
def test_what_is_packed_three_times_is_refused(outer, write):
    with pytest.raises(CompressionError, match="packed more than 2 times over"):
        content_of(write(outer(gzip.compress(COMPRESSED["zip"](TEXT)))))


@pytest.mark.parametrize("outer", COMPRESSED.values(), ids=COMPRESSED)
def test_an_error_within_what_is_packed_twice_is_the_same(outer, write):
    members = [("a.csv", b"a\n1\n"), ("b.csv", b"b\n2\n")]
    with pytest.raises(CompressionError, match=r"holds 2 files \(a.csv, b.csv\), not one"):
        content_of(write(outer(zipped(*members))))
    with pytest.raises(NotATable, match="an Excel workbook"):
        content_of(write(outer(zipped(("[Content_Types].xml", b""), ("xl/workbook.xml", b"")))))
    with pytest.raises(CompressionError, match="cut off"):
        content_of(write(outer(gzip.compress(TEXT)[:-9])))


@pytest.mark.parametrize("outer", [gzip.compress, bz2.compress, COMPRESSED["zip"]])
@pytest.mark.parametrize("inner", [gzip.compress, bz2.compress, lzma.compress])
def test_the_ratio_counts_from_the_outermost_bytes(outer, inner, write):
    packed = outer(inner(bytes(80 << 20)))  # less than the ratio at each level, and more at both
    limits = Limits(max_ratio=2000, max_dense_ratio=20_000)
    with (
        pytest.raises(SourceTooLarge, match="times its size"),
        open_source(write(packed), replace(IMPATIENT, limits=limits)) as source,
        unpack(source) as stream,
    ):
        deque(iter(lambda: stream.read(1 << 20), b""), maxlen=0)


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS.keys())
def test_an_empty_file_is_empty(pack, write):
    assert content_of(write(pack(b""))) == b""


@pytest.mark.parametrize("pack", COMPRESSED.values(), ids=COMPRESSED.keys())
def test_a_connection_that_drops_within_packed_data_is_taken_up_again(pack):
    packed = pack(TEXT)
    with HttpServer(packed, drop_after=len(packed) // 3, drops=2) as server:
        assert content_of(server.url) == TEXT
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    "packed",
    {
        "gzip": gzip.compress(TEXT) + gzip.compress(b"more\n"),
        "gzip, padded": gzip.compress(TEXT) + gzip.compress(b"more\n") + bytes(512),
        "bz2": bz2.compress(TEXT) + bz2.compress(b"more\n"),
        "xz": lzma.compress(TEXT) + lzma.compress(b"more\n"),
        "zstd": zstd.compress(TEXT) + zstd.compress(b"more\n"),
        "zstd, as pzstd writes it": b"\x50\x2a\x4d\x18\x02\0\0\0ab"
        + zstd.compress(TEXT + b"more\n"),
    }.values(),
    ids=lambda packed: packed[:4].hex(),
)
def test_files_packed_one_after_another_are_read_whole(packed, write):
    assert content_of(write(packed)) == TEXT + b"more\n"


PADDINGS = {
    "a line end": b"\n",
    "of DOS": b"\r\n",
    "many": b"\n" * 50_000,
    "NULs": bytes(512),
    "NULs and a line end": b"\0\0\n\0",
    "as XMODEM pads": b"\x1a" * 100,
}


@pytest.mark.parametrize("padding", PADDINGS.values(), ids=PADDINGS)
@pytest.mark.parametrize("pack", COMPRESSED.values(), ids=COMPRESSED)
def test_what_pads_packed_data_is_passed_over(pack, padding, write):
    packed = pack(TEXT) + padding
    assert content_of(write(packed)) == TEXT
    with HttpServer(packed) as server:
        assert content_of(server.url) == TEXT


@pytest.mark.parametrize("padding", PADDINGS.values(), ids=PADDINGS)
@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "zstd"])
def test_what_pads_packed_data_hides_nothing_behind_it(kind, padding, write):
    pack = COMPRESSED[kind]
    assert content_of(write(pack(TEXT) + padding + pack(b"more\n"))) == TEXT + b"more\n"
    for rubbish in (b"1,x\n", b"x", pack(b"more\n")[:-6]):
        with pytest.raises(CompressionError):
            content_of(write(pack(TEXT) + padding + rubbish))


@given(
    st.lists(st.binary(max_size=3000).map(lambda data: data * 20), max_size=4),
    st.sampled_from(["gzip", "bz2", "xz", "zstd"]),
    st.integers(1, 5000),
)
@example([b"a" * 100_000, b"", b"b"], "gzip", 1000)
def test_streams_come_out_whole_whatever_is_read_at_a_time(texts, kind, size):
    packed = b"".join(COMPRESSED[kind](text) for text in [b"id\n", *texts])
    with tempfile.NamedTemporaryFile() as file:
        file.write(packed)
        file.flush()
        with open_source(file.name, IMPATIENT) as source, unpack(source) as stream:
            begin = stream.read(len(stream.peek(1)))  # what was looked at already
            content = begin + b"".join(iter(lambda: stream.raw.read(size), b""))
    assert content == b"id\n" + b"".join(texts)


@pytest.mark.parametrize(
    "text", [b"BZh9,b\n1,2\n", b"PK,b\n1,2\n", b"PAR1;x\n", b"\x1f\n", b"P*M\n"]
)
def test_a_header_that_only_looks_packed_is_text(text, write):
    assert content_of(write(text)) == text


CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "Zstd": "zstd", "x-bzip2": "bz2", "xz": "xz"}


@pytest.mark.parametrize(("coding", "packing"), CODINGS.items())
def test_content_encoding_is_packing_like_any_other(coding, packing):
    packed = COMPRESSED[packing](TEXT)
    with HttpServer(packed, content_encoding=coding, drop_after=5000, drops=1) as server:
        assert content_of(server.url) == TEXT
        assert len(server.requests) == (2 if len(packed) > 5000 else 1)


def test_it_streams():
    with (
        HttpServer(gzip.compress(TEXT * 100, 1), bytes_per_s=2_000_000) as server,
        open_source(server.url, IMPATIENT) as source,
        unpack(source) as stream,
    ):
        assert stream.read(100) == TEXT[:100]
        assert source.bytes_read < source.size


# Damage.


@pytest.mark.parametrize("pack", COMPRESSED.values(), ids=COMPRESSED.keys())
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_cut_off_data_is_an_error(pack, kept, write):
    packed = pack(TEXT)
    with pytest.raises(CompressionError) as caught:
        content_of(write(packed[: int(len(packed) * kept)]))
    assert caught.value.hint


@pytest.mark.parametrize("pack", COMPRESSED.values(), ids=COMPRESSED.keys())
def test_data_damaged_in_the_middle_is_an_error(pack, write):
    packed = bytearray(pack(TEXT))
    packed[len(packed) // 2] ^= 0xFF
    packed[len(packed) // 2 + 1] ^= 0xFF
    with pytest.raises(CompressionError):
        content_of(write(bytes(packed)))


ROWS = b"id,name\n1,a\n2,b\n"
SMALL = {name: pack(ROWS) for name, pack in COMPRESSED.items()}
SMALL["zstd"] = zstd.compress(ROWS, options={zstd.CompressionParameter.checksum_flag: 1})


@given(st.sampled_from(sorted(SMALL)), st.integers(0, 199), st.integers(0, 255))
@example("zip", 62, 255)  # a version that zipfile does not know
@example("zip", 102, 0)  # an empty name
def test_any_damaged_byte_gives_the_right_text_or_one_of_our_errors(kind, place, value):
    packed = bytearray(SMALL[kind])
    place %= len(packed)
    packed[place] = value
    with tempfile.NamedTemporaryFile() as file:
        file.write(packed)
        file.flush()
        try:
            content = content_of(file.name)
        except (CompressionError, NotATable):
            return
    # The damage was in a date, or the file does not begin like a packed one any more.
    assert content in (ROWS, bytes(packed))


def test_rubbish_behind_gzip_is_an_error(write):
    with pytest.raises(CompressionError, match="is damaged"):
        content_of(write(gzip.compress(TEXT) + b"rubbish"))


def test_a_wrong_checksum_is_an_error(write):
    packed = bytearray(gzip.compress(TEXT))
    packed[-8:-4] = (zlib.crc32(TEXT) ^ 1).to_bytes(4, "little")
    with pytest.raises(CompressionError):
        content_of(write(bytes(packed)))


@pytest.mark.parametrize("pack", COMPRESSED.values(), ids=COMPRESSED.keys())
def test_errors_of_the_source_stay_what_they_are(pack):
    packed = pack(TEXT)
    server = HttpServer(packed, preconditions=False, drop_after=len(packed) // 2, drops=1)
    server.requests = ChangesContent(server)
    with server, pytest.raises(SourceChanged):
        content_of(server.url)


class ChangesContent(list):
    """A server's list of requests, at the second of which the file is another."""

    def __init__(self, server: HttpServer) -> None:
        super().__init__()
        self._server = server

    def append(self, request) -> None:
        super().append(request)
        if len(self) == 2:
            self._server.content = b"x" * len(self._server.content)


# Zip.


def test_a_local_zip_is_read_in_place(write, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    assert content_of(write(zipped(("data.csv", TEXT)))) == TEXT


def test_a_zip_from_elsewhere_is_spooled_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with HttpServer(zipped(("data.csv", TEXT))) as server:
        assert content_of(server.url) == TEXT
    assert list(tmp_path.iterdir()) == []


def test_no_folder_for_the_spooled_zip_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with (
        HttpServer(zipped(("data.csv", TEXT))) as server,
        pytest.raises(SourceError, match="no room for a temporary copy") as caught,
    ):
        content_of(server.url)
    assert "TMPDIR" in caught.value.hint


def test_no_room_for_the_spooled_zip_says_so(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: io.FileIO("/dev/full", "r+"))
    message = "no room for a temporary copy"
    with (
        HttpServer(zipped(("data.csv", TEXT))) as server,
        pytest.raises(SourceError, match=message) as caught,
    ):
        content_of(server.url)
    assert "TMPDIR" in caught.value.hint


def test_folders_and_what_systems_put_beside_do_not_count(write):
    packed = zipped(
        ("folder/", b""),
        ("folder/data.csv", TEXT),
        ("__MACOSX/folder/._data.csv", b"x"),
        ("folder/.DS_Store", b"x"),
        ("._data.csv", b"x"),
    )
    assert content_of(write(packed)) == TEXT


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.csv", b""), ("b.csv", b"")], r"holds 2 files \(a.csv, b.csv\), not one"),
        ([(f"{n}.csv", b"") for n in range(9)], r"holds 9 files \(0.csv, 1.csv, 2.csv, ...\)"),
        ([("folder/", b"")], "without a file in it"),
        ([], "without a file in it"),
    ],
)
def test_a_zip_without_exactly_one_file_is_refused(members, message, write):
    with pytest.raises(CompressionError, match=message) as caught:
        content_of(write(zipped(*members)))
    assert "one CSV file" in caught.value.hint


ONE, OTHER = zipped(("a.csv", TEXT)), zipped(("b.csv", TEXT))


BESIDE = {
    "two": (ONE + OTHER, "before"),
    "three": (ONE + OTHER + ONE, "before"),
    "an empty one, and one": (zipped() + ONE, "before"),
    "a zip, and text": (ONE + TEXT[:1000], "behind"),
    "a zip, and a gzip": (ONE + gzip.compress(b"a,b\n1,2\n"), "behind"),
    "a comment, and text": (commented(b"of 2020") + b"a,b\n", "behind"),
}


@pytest.mark.parametrize(("packed", "where"), BESIDE.values(), ids=BESIDE)
def test_a_zip_with_something_beside_it_is_refused(packed, where, write):
    with pytest.raises(CompressionError, match=f"something {where} it") as caught:
        content_of(write(packed))
    assert "one CSV file" in caught.value.hint
    with HttpServer(packed) as server, pytest.raises(CompressionError):
        content_of(server.url)


@pytest.mark.parametrize(
    "packed",
    [
        ONE + bytes(10),
        ONE + bytes(60_000),
        ONE + b"\r\n",
        commented(b"of 2020"),
        commented(b"x" * 65535),
    ],
    ids=["padded", "padded much", "a line end", "a comment", "a long comment"],
)
def test_a_zip_may_be_padded_and_have_a_comment(packed, write):
    assert content_of(write(packed)) == TEXT


def test_an_encrypted_zip_is_refused(write):
    packed = bytearray(zipped(("data.csv", TEXT)))
    packed[6] |= 1  # the flag in the member's header
    packed[packed.index(b"PK\x01\x02") + 8] |= 1  # and in the table of contents
    with pytest.raises(CompressionError, match="encrypted"):
        content_of(write(bytes(packed)))


def test_a_method_that_python_cannot_unpack_is_named(write):
    packed = bytearray(zipped(("data.csv", TEXT)))
    packed[8] = packed[packed.index(b"PK\x01\x02") + 10] = 9  # Deflate64, as Windows packs > 2 GB
    with pytest.raises(CompressionError, match=r"not supported \(9\)"):
        content_of(write(bytes(packed)))


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        (["[Content_Types].xml", "xl/workbook.xml"], "an Excel workbook"),
        (["[Content_Types].xml", "word/document.xml"], "an Office document"),
        (["mimetype", "content.xml", "styles.xml"], "an OpenDocument file"),
    ],
)
def test_a_workbook_is_not_a_table(members, kind, write):
    with pytest.raises(NotATable, match=kind) as caught:
        content_of(write(zipped(*((name, b"<x/>") for name in members)), "data.xlsx"))
    assert "CSV" in caught.value.hint


def test_an_old_workbook_is_not_a_table_either(write):
    with pytest.raises(NotATable, match="an Excel workbook"):
        content_of(write(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)))


def test_a_zip_that_changes_while_it_is_read_is_an_error(tmp_path):
    path = tmp_path / "data.zip"
    path.write_bytes(zipped(("data.csv", TEXT * 20), method=zipfile.ZIP_STORED))
    with open_source(str(path)) as source, unpack(source) as stream:
        stream.read(100)
        with path.open("r+b") as file:
            file.seek(0, io.SEEK_END)
            file.write(b"x")
        with pytest.raises(SourceChanged):
            stream.read()


STREAMS = {name: COMPRESSED[name] for name in ("gzip", "bz2", "xz", "zstd")}
HALF = len(TEXT) // 2


@pytest.mark.parametrize("pack", STREAMS.values(), ids=STREAMS)
def test_all_streams_of_a_file_are_read(write, pack):
    assert content_of(write(pack(TEXT[:HALF]) + pack(b"") + pack(TEXT[HALF:]))) == TEXT


@pytest.mark.parametrize("nulls", [4, 8, 512, 1 << 17])
@pytest.mark.parametrize("name", ["gzip", "bz2", "xz"])
def test_padding_between_and_behind_streams_ends_nothing(write, name, nulls):
    pack, padding = STREAMS[name], b"\0" * nulls
    packed = pack(TEXT[:HALF]) + padding + pack(TEXT[HALF:]) + padding
    assert content_of(write(packed)) == TEXT


@pytest.mark.parametrize("pack", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("at", ["first", "middle", "last"])
def test_a_later_stream_that_is_damaged_is_no_end(write, pack, at):
    second = bytearray(pack(TEXT[HALF:]))
    offset = {"first": 0, "middle": len(second) // 2, "last": len(second) - 5}[at]
    second[offset] ^= 0xFF
    with pytest.raises(CompressionError):
        content_of(write(pack(TEXT[:HALF]) + bytes(second)))


@pytest.mark.parametrize("pack", STREAMS.values(), ids=STREAMS)
def test_a_later_stream_that_is_cut_off_is_no_end(write, pack):
    second = pack(TEXT[HALF:])
    for length in (1, 5, len(second) // 2, len(second) - 1):
        with pytest.raises(CompressionError):
            content_of(write(pack(TEXT[:HALF]) + second[:length]))


@pytest.mark.parametrize("pack", STREAMS.values(), ids=STREAMS)
def test_what_follows_the_streams_and_is_none_is_damage(write, pack):
    with pytest.raises(CompressionError):
        content_of(write(pack(TEXT) + b"id,name\n1,a\n"))


def test_a_later_stream_that_asks_for_too_much_memory_is_no_end(write):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 256 << 20}]
    second = lzma.compress(TEXT[HALF:], filters=filters)
    with pytest.raises(CompressionError, match="LZMAError"):
        content_of(write(lzma.compress(TEXT[:HALF]) + second))
