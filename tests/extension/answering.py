"""A real HTTP server that gives the answers a test wants, where no real Airflow would.

In a test: `with Answering({"/api/v2/version": (200, {"version": "3"})}) as server: ...`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# A status and a body: bytes as they are, all else as JSON.
Answer = tuple[int, Any]


class Answering:
    """Answers requests by their path; the path "*" is every other.

    Args:
        answers: By path; a function is called with the headers of the request.
        headers: Of every answer.

    Attributes:
        requests: Method, path and Authorization of each, in their order.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer | Callable[[Mapping[str, str]], Answer]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.answers = dict(answers)
        self.headers = headers or {}
        self.requests: list[tuple[str, str, str | None]] = []

    def __enter__(self) -> Answering:
        handler = type("Handler", (_Handler,), {"state": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        serve = {"target": self._server.serve_forever, "kwargs": {"poll_interval": 0.02}}
        self._thread = threading.Thread(**serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def asked(self, path: str) -> list[str | None]:
        """The Authorization of each request for a path."""
        return [one[2] for one in self.requests if one[1] == path]


class _Handler(BaseHTTPRequestHandler):
    state: Answering

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.state.requests.append((self.command, path, self.headers["Authorization"]))
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        answer = self.state.answers.get(path, self.state.answers.get("*", (404, {})))
        status, body = answer(self.headers) if callable(answer) else answer
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **self.state.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()
