"""A storage emulator that answers several clients at a time.

The package's own server serves one connection at a time and waits for it without limit: one that
says nothing, of a client that was cut off say, holds up all others and the end of the tests.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partialmethod
from http.server import ThreadingHTTPServer
from io import BytesIO

from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage


class _Handler(RequestHandler):
    timeout = 20.0

    def __init__(self, storage: Storage, lock: threading.Lock, *args: object) -> None:
        self._lock = lock  # the storage is not made for threads
        super().__init__(storage, *args)

    def answer(self, method: Callable[[RequestHandler], None]) -> None:
        """Answer a request; the lock is held while neither side of the connection is waited for."""
        if length := int(self.headers.get("Content-Length", 0)):
            self.rfile = BytesIO(self.rfile.read(length))
        connection, self.wfile = self.wfile, BytesIO()
        try:
            with self._lock:
                method(self)
            connection.write(self.wfile.getvalue())
        finally:
            self.wfile = connection

    do_GET = partialmethod(answer, RequestHandler.do_GET)  # noqa: N815
    do_POST = partialmethod(answer, RequestHandler.do_POST)  # noqa: N815
    do_PUT = partialmethod(answer, RequestHandler.do_PUT)  # noqa: N815
    do_PATCH = partialmethod(answer, RequestHandler.do_PATCH)  # noqa: N815
    do_DELETE = partialmethod(answer, RequestHandler.do_DELETE)  # noqa: N815


@contextmanager
def running() -> Iterator[int]:
    """Run an emulator with the bucket "bucket", in memory; yields its port.

    It is a process of its own: tests become somebody else or take files away from theirs.
    """
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


def _serve() -> None:
    """Tell the port, and serve until the other end of standard input is gone."""
    storage = Storage(use_memory_fs=True)
    buckets.create_bucket("bucket", storage)
    lock = threading.Lock()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *connection: _Handler(storage, lock, *connection)
    )
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    print(server.server_port, flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    _serve()
