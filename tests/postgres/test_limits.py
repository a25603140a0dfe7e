"""What a source has to keep to: bytes, what packing saves, a rate. Bombs, and slow servers."""

import bz2
import gzip
import io
import lzma
import math
import resource
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest
from backports import zstd
from cases import in_turn
from datastore import rows_of
from http_server import HttpServer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from loader.cli.commands import app
from loader.errors import (
    CompressionError,
    SourceTooLarge,
    SourceTooSlow,
    SourceUnreachable,
    UsageError,
)
from loader.net.guard import Guard
from loader.net.limits import Limits
from loader.net.settings import SourceSettings
from loader.options import Options
from loader.pipeline.load import load
from loader.source.stream import open_source
from loader.source.unpack import unpack

MIB = 1024 * 1024

# Sizes


@pytest.mark.parametrize(
    ("text", "size"),
    {
        "500000": 500_000,
        " 7 ": 7,
        "10GB": 10**10,
        "10 gb": 10**10,
        "500MiB": 500 * MIB,
        "1.5kB": 1500,
        "1KiB": 1024,
        "3B": 3,
        "2TiB": 2 << 40,
        "1PB": 10**15,
        "900000PB": 1 << 62,
    }.items(),
)
def test_a_size_has_a_unit_or_none(text, size):
    assert Limits.read(max_bytes=text).max_bytes == size
    assert Limits.read(min_rate=text).min_rate == size


WRONG = [
    "",
    "x",
    "10 X",
    "-1",
    "0",
    "1e9",
    "nan",
    "inf",
    "10GBB",
    "\uff11\uff10",
    "1" * 5000,
    "GB",
    "1,5MB",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_size_is_wrong_usage(text):
    with pytest.raises(UsageError, match="max_bytes cannot be") as refused:
        Limits.read(max_bytes=text)
    assert "10GB" in refused.value.hint


@pytest.mark.parametrize("name", ["max_bytes", "max_ratio", "min_rate"])
@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 10**400, -(10**400), True, [1], {}, b"1"],
    ids=["nan", "inf", "-inf", "googol^4", "-googol^4", "true", "list", "object", "bytes"],
)
def test_what_is_no_number_is_wrong_usage(name, value):
    with pytest.raises(UsageError, match=f"{name} cannot be"):
        Limits.read(**{name: value})


@pytest.mark.parametrize("ratio", ["0.5", "0", "-3", "nan", "inf", "x", "", 0])
def test_what_is_no_ratio_is_wrong_usage(ratio):
    with pytest.raises(UsageError, match="max_ratio cannot be"):
        Limits.read(max_ratio=ratio)


@pytest.mark.parametrize("wrong", [{"max_bytes": True}, {"min_rate": -1}, {"max_ratio": "1"}])
def test_limits_that_are_none_are_wrong_usage(wrong):
    with pytest.raises(UsageError):
        Limits(**wrong)


some_limits = st.builds(
    Limits.read,
    st.none() | st.integers(1, 1 << 60),
    st.none() | st.floats(1, 1e9),
    st.none() | st.floats(0, 1e9),
)


@given(
    st.none() | st.integers(1, 1 << 60),
    st.none() | st.floats(1, 1e9),
    st.none() | st.floats(0, 1e9),
    some_limits,
)
def test_limits_within_others_are_never_looser(max_bytes, max_ratio, min_rate, bound):
    found = Limits.read(max_bytes, max_ratio, min_rate, bound)
    assert found.max_bytes == min(max_bytes or bound.max_bytes, bound.max_bytes)
    assert found.max_ratio == min(max_ratio or bound.max_ratio, bound.max_ratio)
    assert found.max_dense_ratio == min(max_ratio or bound.max_dense_ratio, bound.max_dense_ratio)
    assert found.min_rate == max(min_rate or 0, bound.min_rate)


# Bytes

TEXT = b"n,name\n" + b"".join(b"%d,name of %d\n" % (n, n * n) for n in range(20_000))


def zipped(data: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("data.csv", data)
    return packed.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
    "zip": zipped,
    "zip, stored": lambda data: zipped(data, zipfile.ZIP_STORED),
    "zip, bz2": lambda data: zipped(data, zipfile.ZIP_BZIP2),
    "zip, lzma": lambda data: zipped(data, zipfile.ZIP_LZMA),
}
every_packing = pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)


def bytes_of(uri: str, limits: Limits, **settings: object) -> bytes:
    """Read a source to its end, or to its error, in pieces."""
    settings = {"retries": 2, "backoff_s": 0.01, "limits": limits, **settings}
    with open_source(uri, SourceSettings(**settings)) as source, unpack(source) as stream:
        return b"".join(iter(lambda: stream.read(MIB), b""))


@every_packing
@pytest.mark.parametrize("over", ["a file", "http", "http, no length", "http, until it closes"])
def test_a_source_may_have_as_many_bytes_as_are_allowed_and_no_more(pack, over, tmp_path):
    packed = pack(TEXT)
    # A container that saves nothing has more bytes than what is in it.
    most = max(len(TEXT), len(packed))
    path = tmp_path / "data.csv"
    path.write_bytes(packed)
    with HttpServer(
        packed, length=over != "http, no length", framed=over != "http, until it closes"
    ) as server:
        uri = str(path) if over == "a file" else server.url
        assert bytes_of(uri, Limits(max_bytes=most)) == TEXT
        with pytest.raises(SourceTooLarge) as refused:
            bytes_of(uri, Limits(max_bytes=len(TEXT) - 1))
    assert f"{len(TEXT) - 1:,} are allowed" in str(refused.value)
    assert refused.value.option == "max_bytes"
    assert not refused.value.retryable


def test_a_size_that_the_server_tells_is_refused_before_a_byte_is_read():
    with HttpServer(TEXT, bytes_per_s=1) as server, pytest.raises(SourceTooLarge) as refused:
        open_source(server.url, SourceSettings(limits=Limits(max_bytes=len(TEXT) - 1)))
    assert f"has {len(TEXT):,} bytes" in str(refused.value)


def test_a_response_that_is_packed_on_the_way_counts_unpacked():
    with HttpServer(gzip.compress(TEXT), content_encoding="gzip") as server:
        with pytest.raises(SourceTooLarge):
            bytes_of(server.url, Limits(max_bytes=len(TEXT) - 1))
        assert bytes_of(server.url, Limits(max_bytes=len(TEXT))) == TEXT


# Bombs

# Not one row again and again, which takes bz2 minutes to sort.
PIECE = b"".join(b"%06d," % n + b"0" * 4088 + b"\n" for n in range(MIB // 4096))
BOMB_MIB = 128


def streamed(compressor: object) -> bytes:
    pieces = [compressor.compress(PIECE) for _ in range(BOMB_MIB)]
    return b"".join([*pieces, compressor.flush()])


def zip_bomb(method: int) -> bytes:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", method) as archive,
        archive.open("data.csv", "w") as member,
    ):
        for _ in range(BOMB_MIB):
            member.write(PIECE)
    return packed.getvalue()


def gzip_bomb() -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(BOMB_MIB):
            file.write(PIECE)
    return packed.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": gzip_bomb,
    "bz2": lambda: streamed(bz2.BZ2Compressor()),
    "xz": lambda: streamed(lzma.LZMACompressor(preset=1)),
    "zstd": lambda: streamed(zstd.ZstdCompressor()),
    "zip": lambda: zip_bomb(zipfile.ZIP_DEFLATED),
    "zip, bz2": lambda: zip_bomb(zipfile.ZIP_BZIP2),
    "zip, lzma": lambda: zip_bomb(zipfile.ZIP_LZMA),
}

# Says how much more memory it took to read the file, to its end or to its error.
READ = """
import resource, sys
from loader.errors import SourceTooLarge
from loader.net.limits import Limits
from loader.net.settings import SourceSettings
from loader.source.stream import open_source
from loader.source.unpack import unpack
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
settings = SourceSettings(limits=Limits.read(max_ratio=sys.argv[2] if sys.argv[2:] else None))
with open_source(__file__, settings) as source, unpack(source) as stream:
    stream.read(1)
before, count, end = peak(), 0, "whole"
try:
    with open_source(sys.argv[1], settings) as source, unpack(source) as stream:
        while piece := stream.read(1 << 20):
            count += len(piece)
except SourceTooLarge as error:
    end = f"refused {error.option}"
print(peak() - before, count >> 20, end)
"""


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bombs")
    (folder / "read.py").write_text(READ)
    made = {name: folder / f"{name}.csv" for name in BOMBS}
    for name, path in made.items():
        path.write_bytes(BOMBS[name]())
        assert path.stat().st_size < MIB
    return made


def read_apart(path: Path, *ratio: str) -> tuple[int, int, str]:
    script = path.with_name("read.py")
    done = subprocess.run(
        [sys.executable, str(script), str(path), *ratio], capture_output=True, text=True, check=True
    )
    grown, count, end = done.stdout.split(" ", 2)
    return int(grown), int(count), end


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_takes_no_memory(name, bombs):
    grown_mib, count_mib, end = read_apart(bombs[name])
    assert end.startswith("refused")
    assert "max_ratio" in end
    assert 60 <= count_mib < BOMB_MIB
    assert grown_mib < 60


@pytest.mark.parametrize("name", BOMBS)
def test_who_allows_it_gets_all_of_it_and_it_takes_no_memory(name, bombs):
    grown_mib, count_mib, end = read_apart(bombs[name], "1000000")
    assert (count_mib, end.strip()) == (BOMB_MIB, "whole")
    assert grown_mib < 60


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_may_be_packed_as_it_likes(name, tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(PACKERS[name](PIECE * 60))
    assert len(bytes_of(str(path), Limits())) == 60 * MIB


def test_450_times_is_refused_with_gzip(tmp_path):
    """211 KB that become 95 MB, by rows that differ a little."""
    head = b",".join([b"0"] * 700)
    path = tmp_path / "data.csv.gz"
    with gzip.open(path, "wb") as file:
        for n in range(68_000):
            file.write(b"%d" % (n // 40) + head + b"\n")
    unpacked = 68_000 * (len(head) + 4)
    assert unpacked / path.stat().st_size > 400
    with pytest.raises(SourceTooLarge, match="400 times are allowed"):
        bytes_of(str(path), Limits())


@cache
def wide(columns: int, value: str, rows: int) -> bytes:
    rest = f",{value}" * columns
    return "".join(
        f"{n},2020-01-{n % 28 + 1:02}T{n % 24:02}:00{rest}\n" for n in range(rows)
    ).encode()


# What an honest file may look like, though hardly anything is in it.
SPARSE = {
    "300 empty columns": (300, "", 220_000),
    "300 columns of 0": (300, "0", 115_000),
    "20 columns of -9999": (20, "-9999", 500_000),
}


@pytest.mark.parametrize(
    "pack", [gzip.compress, lambda data: lzma.compress(data, preset=1), zstd.compress]
)
@pytest.mark.parametrize("sparse", SPARSE.values(), ids=SPARSE)
def test_a_table_with_hardly_anything_in_it_is_read(pack, sparse, tmp_path):
    text = wide(*sparse)
    assert len(text) > 64 * MIB
    path = tmp_path / "data.csv"
    path.write_bytes(pack(text))
    assert len(bytes_of(str(path), Limits())) == len(text)


def test_a_bomb_leaves_the_old_table(bombs, tmp_path, database_18, datastore_url_18):
    old = tmp_path / "old.csv"
    old.write_text("n,name\n1,old\n")
    load(str(old), Options("t", datastore_url_18))
    with pytest.raises(SourceTooLarge) as refused:
        load(str(bombs["gzip"]), Options("t", datastore_url_18))
    assert refused.value.report.rows == 0
    assert rows_of(database_18, "t") == [(1, "old")]


def test_packed_data_that_asks_for_gigabytes_of_memory_is_refused(tmp_path):
    path = tmp_path / "data.csv"
    huge = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    path.write_bytes(lzma.compress(TEXT, filters=huge))
    with pytest.raises(CompressionError) as refused:
        bytes_of(str(path), Limits())
    assert "128 MiB" in refused.value.message
    fine = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
    path.write_bytes(lzma.compress(TEXT, filters=fine) + lzma.compress(b"more\n"))
    assert bytes_of(str(path), Limits()) == TEXT + b"more\n"


def test_a_zip_whose_file_asks_for_gigabytes_is_refused(tmp_path):
    packed = bytearray(zipped(TEXT, zipfile.ZIP_LZMA))
    dictionary = 30 + len("data.csv") + 5
    assert int.from_bytes(packed[dictionary : dictionary + 4], "little") == 8 * MIB
    packed[dictionary : dictionary + 4] = (1 << 31).to_bytes(4, "little")
    path = tmp_path / "data.csv"
    path.write_bytes(packed)
    with pytest.raises(CompressionError) as refused:
        bytes_of(str(path), Limits())
    assert "128 MiB" in refused.value.message


def test_a_zip_with_an_endless_table_of_contents_is_refused(tmp_path):
    path = tmp_path / "data.csv"
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(40_000):
            archive.writestr(f"__MACOSX/{n:050}", b"")
    with pytest.raises(CompressionError, match="table of contents"):
        bytes_of(str(path), Limits())


# Rates

WAITING = Limits(min_rate=10_000, window_s=1.0)


@contextmanager
def serving(answer: Callable[[socket.socket, int], None]) -> Iterator[str]:
    """Serve one kind of answer; it is told how many requests there were before."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve(connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            answer(connection, number)

    def accept() -> None:
        number = 0
        while not ended.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection, number), daemon=True).start()
                number += 1

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/data.csv"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def trickle(connection: socket.socket, head: bytes, piece: bytes, pause_s: float = 0.05) -> None:
    connection.sendall(head)
    while True:
        connection.sendall(piece)
        time.sleep(pause_s)


OK = b"HTTP/1.1 200 OK\r\n"
FOUND = b"HTTP/1.1 302 Found\r\nLocation: /%d\r\n"
SLOW: dict[str, Callable[[socket.socket, int], None]] = {
    "a body": lambda c, _: trickle(c, OK + b"Content-Length: 900000\r\n\r\n", b"x"),
    "a body without length": lambda c, _: trickle(c, OK + b"\r\n", b"x"),
    "chunks": lambda c, _: trickle(c, OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a chunk's head": lambda c, _: trickle(c, OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "what is added to chunks' heads": lambda c, _: trickle(
        c, OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 2000 + b"\r\nx\r\n", 0.01
    ),
    "what follows the last chunk": lambda c, _: trickle(
        c, OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\na\n1\n\r\n0\r\n", b"X: y\r\n" * 500, 0.01
    ),
    "the status": lambda c, _: trickle(c, b"HTTP/1.1 200 ", b"O"),
    "headers": lambda c, _: trickle(c, OK, b"X-A: b\r\n"),
    "one header": lambda c, _: trickle(c, OK + b"X-A: ", b"b"),
    "100 Continue for ever": lambda c, _: trickle(c, b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103 for ever": lambda c, _: trickle(c, b"", b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"),
    "redirects": lambda c, n: (
        time.sleep(0.2),
        c.sendall(FOUND % n + b"Content-Length: 0\r\nConnection: close\r\n\r\n"),
    ),
}


@pytest.mark.parametrize(("kind", "guard"), in_turn([*SLOW], [None, Guard(("127.0.0.1",))]))
def test_a_server_that_trickles_is_given_up(kind, guard):
    with serving(SLOW[kind]) as url, pytest.raises(SourceTooSlow) as refused:
        bytes_of(url, WAITING, guard=guard)
    assert "10,000 are the least" in str(refused.value)
    assert refused.value.option == "min_rate"
    assert refused.value.retryable


def test_a_proxy_that_trickles_is_given_up(monkeypatch):
    with serving(SLOW["a body"]) as url:
        monkeypatch.setenv("http_proxy", url.rpartition("/")[0])
        with pytest.raises(SourceTooSlow):
            bytes_of("http://data.invalid/a.csv", WAITING)


@pytest.mark.parametrize("packing", ["plain", "gzip", "zip"])
def test_it_is_given_up_in_the_middle_too(packing):
    packed = PACKERS[packing](TEXT)

    def answer(connection: socket.socket, _: int) -> None:
        head = OK + b"Content-Length: %d\r\n\r\n" % len(packed)
        trickle(connection, head + packed[: len(packed) // 2], packed[-1:])

    with serving(answer) as url, pytest.raises(SourceTooSlow):
        bytes_of(url, WAITING)


def test_a_server_just_fast_enough_is_read():
    with HttpServer(TEXT, bytes_per_s=150_000) as server:
        assert bytes_of(server.url, WAITING) == TEXT


def test_any_rate_may_be_allowed():
    with HttpServer(TEXT[:20], bytes_per_s=10) as server:
        assert bytes_of(server.url, Limits(min_rate=0, window_s=0.1)) == TEXT[:20]


def test_only_the_time_spent_waiting_counts():
    """Who takes the bytes may be as slow as it likes: the database, say."""
    with (
        HttpServer(TEXT * 4) as server,
        open_source(server.url, SourceSettings(limits=WAITING)) as source,
    ):
        pieces = []
        while piece := source.read(MIB):
            pieces.append(piece)
            time.sleep(0.5)
    assert b"".join(pieces) == TEXT * 4


def test_a_file_of_this_machine_is_read_at_any_pace(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(TEXT)
    assert bytes_of(str(path), WAITING) == TEXT


def test_a_redirect_with_an_endless_body_is_followed_without_it():
    def answer(connection: socket.socket, number: int) -> None:
        if number:
            connection.sendall(OK + b"Content-Length: 4\r\nConnection: close\r\n\r\na,b\n")
            return
        connection.sendall(FOUND % 1 + b"Content-Length: 99999999999\r\n\r\n")
        while True:
            connection.sendall(bytes(MIB))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with serving(answer) as url:
        assert bytes_of(url, Limits()) == b"a,b\n"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_a_server_that_breaks_again_and_again_is_given_up_though_some_bytes_come():
    content = bytes(12 * MIB)
    with (
        HttpServer(content, drop_after=MIB + 1, drops=99) as server,
        pytest.raises(SourceUnreachable, match="tried 6 times"),
    ):
        bytes_of(server.url, Limits(), retries=3, all_retries=5)
    assert len(server.requests) == 6


# The command

LIMITED = {
    "--max-bytes": (["--max-bytes", "20KB"], "SourceTooLarge"),
    "--min-rate": (["--min-rate", "1e3"], "UsageError"),
    "--max-ratio": (["--max-ratio", "no"], "UsageError"),
}


@pytest.mark.parametrize("command", ["load", "infer", "validate"])
@pytest.mark.parametrize(("options", "kind"), LIMITED.values(), ids=LIMITED)
def test_every_command_that_reads_a_source_has_the_limits(
    command, options, kind, tmp_path, datastore_url_18, monkeypatch
):
    monkeypatch.setenv("AIRCAN_DATASTORE_URL", datastore_url_18)
    path = tmp_path / "data.csv"
    path.write_bytes(TEXT)
    done = CliRunner().invoke(app, [command, str(path), *options])
    assert done.exit_code == (2 if kind == "UsageError" else 1)
    name = options[0].strip("-").replace("-", "_")
    said = f"{name} cannot be" if kind == "UsageError" else "20,000 are allowed"
    assert said in done.stderr
    assert "\naircan: " in f"\n{done.stderr}"
