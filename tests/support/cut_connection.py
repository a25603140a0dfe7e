"""A proxy before a Postgres server that breaks the connection when a COMMIT comes by."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from psycopg.conninfo import conninfo_to_dict


class CutConnection:
    """The proxy, on a free port of this machine, for one URL.

    Args:
        url: Of the database.
        after: The COMMIT that follows this statement is cut.
        forwards: Whether the server gets that COMMIT, and only its answer is lost.
    """

    def __init__(self, url: str, after: bytes, *, forwards: bool) -> None:
        parts = conninfo_to_dict(url)
        self._target = f"{parts['host']}/.s.PGSQL.{parts['port']}"
        self._after = after
        self._forwards = forwards
        self._closing: list[socket.socket] = []
        self.has_cut = False
        self._server = socket.create_server(("127.0.0.1", 0))
        port = self._server.getsockname()[1]
        self.url = (
            f"postgresql://{parts['user']}@127.0.0.1:{port}/{parts['dbname']}?sslmode=disable"
        )

    def __enter__(self) -> CutConnection:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._server, *self._closing):
            _close(one)

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed in the end
            while True:
                client, _ = self._server.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._closing += [client, server]
                ends = client, server, threading.Event()
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()
                threading.Thread(target=self._answer, args=ends, daemon=True).start()

    def _pass_on(
        self, client: socket.socket, server: socket.socket, is_last: threading.Event
    ) -> None:
        is_armed = False
        with suppress(OSError):
            while said := client.recv(1 << 16):
                is_armed = is_armed or self._after in said
                if is_armed and b"COMMIT" in said and not self.has_cut:
                    self.has_cut = True
                    is_last.set()
                    if not self._forwards:
                        break
                server.sendall(said)
        _close(server)

    def _answer(
        self, client: socket.socket, server: socket.socket, is_last: threading.Event
    ) -> None:
        with suppress(OSError):
            while said := server.recv(1 << 16):
                if is_last.is_set():  # the server has committed, and nobody hears of it
                    break
                client.sendall(said)
        _close(client)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
