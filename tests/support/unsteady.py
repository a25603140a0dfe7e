"""A proxy before a portal that breaks as it is told: answers get lost, calls come late or not.

What it forwards, the real CKAN does; only the way there and back is at fault.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests


@dataclass
class Call:
    """A call as it came in.

    Attributes:
        action: The action's name.
        headers: In lower case.
        body: As it was sent.
    """

    action: str
    headers: dict[str, str]
    body: bytes


Fault = Callable[["_Handler", Call], None]


@dataclass
class Unsteady:
    """The proxy, on a free port of this machine.

    Attributes:
        target: The portal's URL.
        faults: For an action, what happens to its next calls; None forwards one as it is.
        always: What happens to every call, once it is set.
        calls: All that came in.
        done: The actions that the portal has answered.
    """

    target: str
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    always: Fault | None = None
    calls: list[Call] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def __enter__(self) -> Unsteady:
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def made(self, action: str) -> list[Call]:
        """Return the calls of an action."""
        return [call for call in self.calls if call.action == action]

    def forward(self, call: Call) -> requests.Response:
        """Do the call; return the portal's answer."""
        kept = ("authorization", "content-type")
        with requests.Session() as session:
            session.trust_env = False  # its proxies and passwords are those of what is tested
            answer = session.post(
                f"{self.target}/api/action/{call.action}",
                data=call.body,
                headers={name: call.headers[name] for name in kept if name in call.headers},
                timeout=120,
            )
        self.done.append(call.action)
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: connections that break are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Unsteady

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.path.rsplit("/", 1)[-1], headers, body)
        self.proxy.calls.append(call)
        waiting = self.proxy.faults.get(call.action)
        fault = self.proxy.always or (waiting.pop(0) if waiting else None)
        if fault:
            fault(self, call)
        else:
            self.pass_on(call)

    def pass_on(self, call: Call) -> None:
        """Do the call, and answer as the portal does."""
        answer = self.proxy.forward(call)
        kind = answer.headers["Content-Type"]
        self.answer(answer.status_code, answer.content, {"Content-Type": kind})

    def answer(
        self, status: int, content: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def cut(self) -> None:
        """Break the connection without an answer."""
        self.close_connection = True

    def wait_for_the_client_to_give_up(self) -> None:
        self.close_connection = True
        self.connection.recv(1)


def refused(status: int, **headers: str) -> Fault:
    """The call never comes to CKAN."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, call: handler.answer(status, b"<html>busy</html>", named)


def count_refused(handler: _Handler, call: Call) -> None:
    """The rows come to CKAN; the call that has them counted, the last of a load, does not."""
    if json.loads(call.body).get("calculate_record_count"):
        refused(413)(handler, call)
    else:
        handler.pass_on(call)


def refused_afterwards(status: int) -> Fault:
    """CKAN does it, and its answer is replaced by a proxy's."""

    def fault(handler: _Handler, call: Call) -> None:
        handler.proxy.forward(call)
        handler.answer(status, b"<html>gateway</html>")

    return fault


def cut_before(handler: _Handler, call: Call) -> None:
    """The connection breaks, and the call never comes to CKAN."""
    handler.cut()


def cut_after(handler: _Handler, call: Call) -> None:
    """CKAN does it, and the connection breaks before its answer is through."""
    handler.proxy.forward(call)
    handler.cut()


def cut_then_done(handler: _Handler, call: Call) -> None:
    """The connection breaks, and a second later CKAN does it all the same."""
    later = threading.Timer(1.0, handler.proxy.forward, [call])
    later.start()
    handler.cut()


def too_slow(handler: _Handler, call: Call) -> None:
    """CKAN does it, and the client has given up before it knows."""
    handler.proxy.forward(call)
    handler.wait_for_the_client_to_give_up()


def never_answered(handler: _Handler, call: Call) -> None:
    """The call comes to nobody, and is never answered."""
    handler.wait_for_the_client_to_give_up()


def redirected(url: str) -> Fault:
    """The call is sent elsewhere."""
    return lambda handler, call: handler.answer(302, b"", {"Location": f"{url}/{call.action}"})
