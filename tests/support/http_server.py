"""A real HTTP/1.1 server of one file, with the faults that real servers have.

In a test: `with HttpServer(content) as server: ... server.url ...`; its attributes may be changed
between two requests. As a process, to be killed:
`python tests/support/http_server.py FILE PORT [RATE]`.
"""

import re
import socket
import sys
import threading
import time
import zlib
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PIECE_BYTES = 16 * 1024
LAST_MODIFIED = "Wed, 01 Jan 2020 10:00:00 GMT"


@dataclass
class HttpServer:
    """One file under every path, but for those in `redirects`."""

    content: bytes
    port: int = 0
    etag: str | None = "auto"  # "auto": made from the content
    last_modified: str | None = LAST_MODIFIED
    ranges: bool = True
    preconditions: bool = True  # whether If-Match and If-Unmodified-Since are heeded
    length: bool = True  # False: chunked
    transfer_encoding: str = "chunked"
    framed: bool = True  # False: neither, the end of the connection is the end
    content_encoding: str | list[str] | None = None  # several: a header each
    date: str | None = "now"
    drop_after: int | None = None  # bytes of a body, then the connection breaks
    drops: int = 0  # how many responses break
    reset: bool = False  # break with RST in place of FIN
    bytes_per_s: float | None = None
    failures: list[int] = field(default_factory=list)  # statuses of the next responses
    retry_after: str | None = None
    redirects: dict[str, str] = field(default_factory=dict)
    credentials: tuple[str, str] | None = None
    range_shift: int = 0  # answers another range than the one that was asked for
    part_bytes: int | None = None  # of what a request for a range asks for, at most
    told_range: str | None = None  # in place of the true Content-Range
    tells_total: bool = True  # in Content-Range
    informational: bytes = b""  # what precedes every answer
    requests: list[dict[str, str]] = field(default_factory=list)  # headers, with ":path"

    def __enter__(self) -> "HttpServer":
        handler = type("Handler", (_Handler,), {"server_state": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/data.csv"

    def current_etag(self) -> str | None:
        return f'"{zlib.crc32(self.content):08x}"' if self.etag == "auto" else self.etag


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: HttpServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        state = self.server_state
        headers = {name.lower(): value for name, value in self.headers.items()}
        state.requests.append({**headers, ":path": self.path})
        with suppress(ConnectionError):  # the client may have had enough
            self.wfile.write(state.informational)
        if self.path in state.redirects:
            self._status(302, {"Location": state.redirects[self.path]})
        elif state.failures:
            retry = {"Retry-After": state.retry_after} if state.retry_after else {}
            self._status(state.failures.pop(0), retry)
        elif state.credentials and headers.get("authorization") != _basic(*state.credentials):
            self._status(401, {"WWW-Authenticate": "Basic"})
        elif state.preconditions and self._condition_fails():
            self._status(412)
        else:
            self._send_content()

    def _condition_fails(self) -> bool:
        state = self.server_state
        match, since = self.headers.get("If-Match"), self.headers.get("If-Unmodified-Since")
        if match is not None:
            return match != state.current_etag()
        return since is not None and since != state.last_modified

    def _send_content(self) -> None:
        state = self.server_state
        content, headers, status = state.content, self._validators(), 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if state.ranges and asked:
            start, total = int(asked[1]) + state.range_shift, len(content)
            if start >= total:
                self._status(416, {"Content-Range": f"bytes */{total}"})
                return
            status, content = 206, content[start:][: state.part_bytes]
            last = start + len(content) - 1
            told = total if state.tells_total else "*"
            headers["Content-Range"] = state.told_range or f"bytes {start}-{last}/{told}"
        if state.content_encoding:
            headers["Content-Encoding"] = state.content_encoding
        headers.update(self._framing(content))
        self._head(status, headers)
        with suppress(ConnectionError):  # the client may have had enough
            self._body(content)

    def _framing(self, content: bytes) -> dict[str, str]:
        if not self.server_state.framed:
            return {"Connection": "close"}
        if not self.server_state.length:
            return {"Transfer-Encoding": self.server_state.transfer_encoding}
        return {"Content-Length": str(len(content))}

    def _validators(self) -> dict[str, str]:
        state = self.server_state
        pairs = {"ETag": state.current_etag(), "Last-Modified": state.last_modified}
        return {name: value for name, value in pairs.items() if value is not None}

    def _body(self, content: bytes) -> None:
        state = self.server_state
        breaks = state.drops > 0 and state.drop_after is not None
        end = min(state.drop_after, len(content)) if breaks else len(content)
        for start in range(0, end, PIECE_BYTES):
            piece = content[start : min(start + PIECE_BYTES, end)]
            self.wfile.write(piece if state.length else b"%x\r\n%b\r\n" % (len(piece), piece))
            if state.bytes_per_s:
                time.sleep(len(piece) / state.bytes_per_s)
        if breaks:
            state.drops -= 1
            self._break_connection()
        elif not state.framed:
            self.close_connection = True
        elif not state.length:
            self.wfile.write(b"0\r\n\r\n")

    def _break_connection(self) -> None:
        self.close_connection = True
        if self.server_state.reset:
            linger = (1).to_bytes(4, sys.byteorder) + (0).to_bytes(4, sys.byteorder)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            self.connection.shutdown(socket.SHUT_WR)

    def _status(self, status: int, headers: dict[str, str] | None = None) -> None:
        self._head(status, {"Content-Length": "0", **(headers or {})})

    def _head(self, status: int, headers: dict[str, str | list[str]]) -> None:
        self.send_response_only(status)
        date = self.server_state.date
        if date is not None:
            self.send_header("Date", self.date_time_string() if date == "now" else date)
        for name, values in headers.items():
            for value in [values] if isinstance(values, str) else values:
                self.send_header(name, value)
        self.end_headers()


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def main() -> None:
    """Serve one file until killed."""
    path, port, *rate = sys.argv[1:]
    content = Path(path).read_bytes()
    with HttpServer(content, int(port), bytes_per_s=float(rate[0]) if rate else None) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
