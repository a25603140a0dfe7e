"""A Ckan can be closed, and whoever makes one closes it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

import loader
from loader.ckan import calls
from loader.ckan.client import Ckan
from loader.errors import AircanError
from loader.factory import conf, selection, tasks
from loader.factory.artifacts import Artifacts
from loader.factory.run import Run
from loader.pipeline import separate

RESOURCE = {"id": "r", "package_id": "d", "url": "", "format": "CSV"}
RESULTS = {
    "resource_show": RESOURCE,
    "package_show": {"id": "d", "name": "d", "resources": [RESOURCE]},
    "package_search": {"count": 1, "results": [{"id": "d", "name": "d", "resources": []}]},
}


class Handler(BaseHTTPRequestHandler):
    """A CKAN that keeps its connections open, and counts them."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self)

    def finish(self) -> None:
        super().finish()
        self.server.open.discard(self)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls += 1
        result = RESULTS.get(self.path.rsplit("/", 1)[-1])
        error = {"__type": "Not Found Error", "message": "Not found"}
        said = {"success": True, "result": result} if result else {"success": False, "error": error}
        body = json.dumps(said).encode()
        self.send_response(200 if result else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be silent."""


class Portal(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.open: set[Handler] = set()
        self.calls = 0
        self.url = f"http://127.0.0.1:{self.server_port}"

    def has_open(self, count: int) -> bool:
        """Tell whether so many connections are open, soon: a handler ends in its own thread."""
        for _ in range(500):
            if len(self.open) == count:
                return True
            time.sleep(0.02)
        return False


@pytest.fixture
def portal() -> Iterator[Portal]:
    with Portal() as portal:
        serve = {"target": portal.serve_forever, "kwargs": {"poll_interval": 0.02}}
        threading.Thread(**serve, daemon=True).start()
        yield portal
        portal.shutdown()


def test_a_ckan_is_closed_at_the_end_of_its_block_and_can_be_called_again(portal):
    with Ckan(portal.url) as ckan:
        assert ckan.resource("r") == RESOURCE
        assert portal.has_open(1)
    assert portal.has_open(0)
    assert ckan.resource("r") == RESOURCE
    assert portal.has_open(1)
    ckan.close()
    assert portal.has_open(0)


def run(portal: Portal, folder: Path) -> Run:
    """Return a task's run, whose Connection is the portal."""
    host = SimpleNamespace(conn_type="http", host=portal.url, port=None, login=None)
    connection = SimpleNamespace(**vars(host), password="token", schema=None, extra_dejson={})
    asked = conf.read({"resource": "r", "datastore_conn_id": None})
    return Run("aircan_load", "x", Artifacts(str(folder)), lambda _: connection, conf=asked)


# what is done with the portal and a folder, whatever comes of it
MAKERS = {
    "load": lambda p, f: loader.load(f / "a.csv", resource_id="r", ckan_url=p.url, via="api"),
    "register": lambda p, _: separate.register(
        loader.Report("r", ""), loader.Options("r", ckan_url=p.url)
    ),
    "reload": lambda p, _: loader.reload("r", ckan_url=p.url),
    "reload a dataset": lambda p, _: list(loader.reload_dataset("d", ckan_url=p.url)),
    "reload all": lambda p, _: list(loader.reload_all(ckan_url=p.url)),
    "prepare": lambda p, f: tasks.prepare(run(p, f)),
    "report": lambda p, f: tasks.report(run(p, f)),
    "find": lambda p, f: selection.select(run(p, f), "d", lambda *_: False),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_whoever_makes_a_ckan_closes_it(portal, tmp_path, monkeypatch, make):
    kept = []  # else they would be closed when nobody has them any more
    new_session = calls.new_session

    def keep(target):
        kept.append(new_session(target))
        return kept[-1]

    monkeypatch.setattr(calls, "new_session", keep)
    (tmp_path / "a.csv").write_text("a\n1\n")
    with suppress(AircanError):
        make(portal, tmp_path)
    assert portal.calls
    assert portal.has_open(0)
