"""A CKAN that sends too much, or without end, holds neither a worker's memory nor its time."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache

import pytest
from test_ckan_errors import GOOD, JSON, RESOURCE, Answering, error

from loader.ckan import answers
from loader.ckan.client import Ckan
from loader.ckan.settings import CkanSettings
from loader.errors import CkanRefused, CkanUnreachable, NotACkan
from loader.net.guard import Guard

MIB = 1 << 20
SENT = 100  # MiB that a server sends before it gives up
# It would try again, and again, if that were any use.
SETTINGS = CkanSettings(read_timeout_s=20.0, backoff_s=0.01, max_backoff_s=0.01)
ONCE = replace(SETTINGS, retries=0, opening_retries=0)
HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
OK = HEAD % b"200 OK"


@dataclass
class Sending:
    """A server that answers each connection with the same pieces, a pause before each.

    Attributes:
        pieces: Makes them.
        pause_s: Between two.
        connections: How many there were.
    """

    pieces: Callable[[], Iterator[bytes]]
    pause_s: float = 0.0
    connections: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Sending:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with closing(connection):
            connection.recv(65536)
            try:
                for piece in self.pieces():
                    if self._ended.wait(self.pause_s):
                        return
                    connection.sendall(piece)
                # Closing it while a part of the request is unread would take the answer back.
                connection.shutdown(socket.SHUT_WR)
                while not self._ended.is_set() and connection.recv(65536):
                    pass
            except OSError:
                return  # the client has had enough


def ckan(server: Sending, settings: CkanSettings, *, guarded: bool) -> Ckan:
    guard = Guard((server.place,)) if guarded else None
    return Ckan(f"http://{server.place}", "token", settings, guard)


# Too large


def lasting(head: bytes, piece: bytes = b" " * MIB) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(SENT * MIB // len(piece)):
            yield piece

    return pieces


@cache
def packed_spaces(pack: Callable[[bytes, int], bytes]) -> bytes:
    return pack(b" " * (SENT * MIB), 1)


def bomb(head: bytes, pack: Callable[[bytes, int], bytes]) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        packed = packed_spaces(pack)
        yield head + b"Content-Length: %d\r\n\r\n" % len(packed)
        yield packed

    return pieces


# Each name, and what is sent then.
LARGE = {
    "its length told": lasting(OK + b"Content-Length: %d\r\n\r\n" % (SENT * MIB)),
    "no length": lasting(OK + b"Connection: close\r\n\r\n"),
    "in chunks": lasting(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n%s\r\n" % (b" " * MIB)
    ),
    "an error of CKAN's": lasting(HEAD % b"409 CONFLICT" + b"Connection: close\r\n\r\n"),
    "a bad request": lasting(HEAD % b"400 BAD REQUEST" + b"Connection: close\r\n\r\n"),
    "packed by gzip": bomb(OK + b"Content-Encoding: gzip\r\n", gzip.compress),
    "packed by gzip, its old name": bomb(OK + b"Content-Encoding: X-GZIP\r\n", gzip.compress),
    "packed by deflate": bomb(OK + b"Content-Encoding: deflate\r\n", zlib.compress),
}


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "the operator's"])
@pytest.mark.parametrize("pieces", LARGE.values(), ids=LARGE)
def test_an_answer_without_end_is_given_up_and_not_kept(pieces, guarded, monkeypatch):
    for name in ("MAX_BYTES", "MAX_OTHERS_BYTES"):
        monkeypatch.setattr(answers, name, 4 * MIB)
    with Sending(pieces) as server:
        one = ckan(server, SETTINGS, guarded=guarded)
        next(pieces())  # packed now, before memory is measured
        tracemalloc.start()
        try:
            with pytest.raises(NotACkan, match="more than 4,194,304 bytes") as caught:
                one.resource("r")
            assert tracemalloc.get_traced_memory()[1] < 64 * MIB
        finally:
            tracemalloc.stop()
        assert server.connections == 1
    assert caught.value.hint


def test_a_chunk_s_size_without_end_is_not_kept(monkeypatch):
    """As some versions of urllib3 would; others take it for a broken connection soon."""
    for name in ("MAX_BYTES", "MAX_OTHERS_BYTES"):
        monkeypatch.setattr(answers, name, 4 * MIB)
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    with Sending(lasting(head, b"1" * MIB)) as server:
        tracemalloc.start()
        try:
            with pytest.raises((NotACkan, CkanUnreachable)):
                ckan(server, ONCE, guarded=True).resource("r")
            assert tracemalloc.get_traced_memory()[1] < 64 * MIB
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,deflate", "zstd", "br", "xz"])
def test_what_packs_better_is_not_unpacked(encoding):
    pieces = lasting(OK + b"Content-Encoding: %s\r\n\r\n" % encoding.encode())
    with Sending(pieces) as server:
        with pytest.raises(NotACkan, match="not asked for"):
            ckan(server, SETTINGS, guarded=True).resource("r")
        assert server.connections == 1


@pytest.mark.parametrize("status", [b"503 SERVICE UNAVAILABLE", b"429 TOO MANY REQUESTS"])
def test_the_body_of_a_passing_failure_is_not_read(status):
    with Sending(lasting(HEAD % status + b"Connection: close\r\n\r\n")) as server:
        tracemalloc.start()
        try:
            with pytest.raises(CkanUnreachable, match=status[:3].decode()):
                ckan(server, ONCE, guarded=True).resource("r")
            assert tracemalloc.get_traced_memory()[1] < 16 * MIB
        finally:
            tracemalloc.stop()


# Too slow


def trickling(head: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield head
        while True:
            yield piece

    return pieces


# name: what comes at once, what comes piece by piece for ever
SLOW = {
    "the body": (OK + b"Content-Length: 1000000\r\n\r\n", b" "),
    "a body in chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a chunk's size": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1"),
    "a packed body": (
        OK + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(b"{")[:-8],
        b"",
    ),
    "the headers": (OK, b"a"),
    "headers that go on": (OK, b"a: b\r\n"),
    "the status": (b"HTTP/1.1 ", b"2"),
    "what precedes the status": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize(("head", "piece"), SLOW.values(), ids=SLOW)
def test_an_answer_that_trickles_is_given_up(head, piece):
    settings = replace(SETTINGS, longest_s=0.5)
    with Sending(trickling(head, piece or b"\0"), pause_s=0.05) as server:
        began = time.monotonic()
        with pytest.raises(NotACkan, match=r"not complete after 0\.5 s") as caught:
            ckan(server, settings, guarded=True).resource("r")
        assert time.monotonic() - began < 15
        assert server.connections == 1
    assert caught.value.hint


def test_the_operators_own_ckan_may_be_slow():
    body = b'{"success": true, "result": {"id": "r", "package_id": "d"}}'

    def pieces() -> Iterator[bytes]:
        yield OK + b"Content-Length: %d\r\n\r\n" % len(body)
        for i in range(len(body)):
            yield body[i : i + 1]

    settings = replace(SETTINGS, longest_s=0.5)
    with Sending(pieces, pause_s=0.05) as server:
        assert ckan(server, settings, guarded=False).resource("r") == RESOURCE


# What is neither


def test_each_call_has_all_of_the_time_and_of_the_bytes(monkeypatch):
    size = len(GOOD[2])
    monkeypatch.setattr(answers, "MAX_OTHERS_BYTES", size)
    with Answering([GOOD]) as server:
        guard = Guard((server.url.removeprefix("http://"),))
        one = Ckan(server.url, "token", replace(SETTINGS, longest_s=2.0), guard)
        for _ in range(3):
            assert one.resource("r") == RESOURCE
            time.sleep(1.2)
        monkeypatch.setattr(answers, "MAX_OTHERS_BYTES", size - 1)
        with pytest.raises(NotACkan, match="more than"):
            Ckan(server.url, "token", SETTINGS, guard).resource("r")


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "the operator's"])
@pytest.mark.parametrize("packing", ["identity", "gzip", "GZIP", "x-gzip", "deflate"])
def test_a_packed_answer_is_unpacked(packing, guarded):
    text = b"r" * 3 * MIB
    body = (
        b'{"success": true, "result": {"id": "r", "package_id": "d", "description": "%s"}}' % text
    )
    pack = {"identity": bytes, "deflate": zlib.compress}.get(packing, gzip.compress)(body)
    head = OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
    with Sending(lambda: iter([head % (packing.encode(), len(pack)) + pack])) as server:
        found = ckan(server, SETTINGS, guarded=guarded).resource("r")
    assert found == RESOURCE | {"description": text.decode()}


def test_only_what_is_unpacked_is_asked_for():
    with Answering([GOOD]) as server:
        Ckan(server.url).resource("r")
    assert server.seen[0]["accept-encoding"] == "gzip, deflate"


def test_what_ckan_refuses_is_read():
    body = error("Validation Error", name=["x" * MIB])
    with Answering([(409, JSON, body)]) as server, pytest.raises(CkanRefused, match="name: xx"):
        Ckan(server.url).resource("r")


@pytest.mark.parametrize("packing", [b"", b"Content-Encoding: gzip\r\n"])
def test_an_answer_that_breaks_off_is_one_to_ask_for_again(packing):
    head = OK + packing + b"Content-Length: 1000\r\n\r\n{"
    with (
        Sending(lambda: iter([head])) as server,
        pytest.raises(CkanUnreachable, match="broke") as caught,
    ):
        ckan(server, ONCE, guarded=False).resource("r")
    assert caught.value.in_doubt
