"""What is no CKAN, or a CKAN in trouble, is told in one line: never with a token or a web page."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic

import pytest

from loader.ckan.batches import newest_id
from loader.ckan.client import Ckan
from loader.ckan.settings import CkanSettings
from loader.errors import (
    CkanError,
    CkanForbidden,
    CkanNotFound,
    CkanRefused,
    CkanUnreachable,
    NotACkan,
    UsageError,
)

TOKEN = "eyJhbGciOi.secret-token.value"
ONCE = CkanSettings(retries=0, opening_retries=0)
JSON = "application/json;charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass
class Answering:
    """A server that gives the same answers to every call, the last one for ever.

    Attributes:
        answers: Status, content type and body of each.
        headers: Of every answer.
        seen: The headers of every request, names in lower case.
    """

    answers: list[tuple[int, str, str]]
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, str]] = field(default_factory=list)

    def __enter__(self) -> Answering:
        handler = type("Handler", (_Handler,), {"server_state": self})
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


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: it is the client's errors that are tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: Answering

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        state = self.server_state
        self.rfile.read(int(self.headers["Content-Length"]))
        state.seen.append({name.lower(): value for name, value in self.headers.items()})
        status, kind, text = state.answers[0] if len(state.answers) == 1 else state.answers.pop(0)
        body = text.encode()
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **state.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def error(kind: str, **found: object) -> str:
    return json.dumps({"success": False, "error": {"__type": kind, **found}})


def page(title: str) -> str:
    return f"<!DOCTYPE html>\n<html>\n<title>{title}</title>\n{'<p>' * 2000}</html>"


RESOURCE = {"id": "r", "package_id": "d"}
SHOWN = json.dumps({"success": True, "result": RESOURCE})

# name: status, content type, body, the error, a part of its message
ANSWERS = {
    "a web page": (200, HTML, page("Welcome"), NotACkan, "no CKAN at http"),
    "a page not found": (404, HTML, page("Not Found"), NotACkan, "HTTP 404"),
    "JSON of another API": (200, JSON, '{"status": "ok"}', NotACkan, "no CKAN"),
    "a JSON list": (200, JSON, "[1, 2]", NotACkan, "no CKAN"),
    "JSON null": (200, JSON, "null", NotACkan, "no CKAN"),
    "broken JSON": (200, JSON, '{"succ', NotACkan, "no CKAN"),
    "nothing": (200, JSON, "", NotACkan, "no CKAN"),
    "success without a result": (200, JSON, '{"success": true}', NotACkan, "no CKAN"),
    "an error of another API": (200, JSON, '{"error": "no"}', NotACkan, "no CKAN"),
    "a gate before CKAN": (403, HTML, page("Blocked"), CkanForbidden, "in front of CKAN"),
    "a gate that speaks JSON": (401, JSON, '{"message": "no"}', CkanForbidden, "HTTP 401"),
    "a call too large": (413, HTML, page("Too large"), CkanRefused, "too large"),
    "busy": (429, HTML, page("Too many"), CkanUnreachable, "HTTP 429"),
    "a fault of CKAN's": (500, JSON, error("Internal"), CkanUnreachable, "HTTP 500"),
    "a proxy without CKAN": (502, HTML, page("Bad Gateway"), CkanUnreachable, "HTTP 502"),
    "denied": (
        403,
        JSON,
        error("Authorization Error", message="Access denied: User x not authorized"),
        CkanForbidden,
        "resource_show: Access denied: User x not authorized",
    ),
    "not found": (
        404,
        JSON,
        error("Not Found Error", message="Not found: Resource not found"),
        CkanNotFound,
        "resource_show: Resource not found",
    ),
    "an unknown action": (
        400,
        JSON,
        '"Bad request: Action name not known: datastore_info"',
        CkanRefused,
        "Action name not known: datastore_info",
    ),
    "invalid": (
        409,
        JSON,
        error("Validation Error", name=["Missing value"], records=["bad\nrow"], records_row=7),
        CkanRefused,
        "name: Missing value; records: bad row; records_row: 7",
    ),
    "invalid below": (
        409,
        JSON,
        error("Validation Error", resources=[{}, {"url": ["Not a URL"]}]),
        CkanRefused,
        "resources: url: Not a URL",
    ),
    "Solr is down": (
        409,
        JSON,
        error("Search Error", message="Solr returned an error"),
        CkanError,
        "Solr returned an error",
    ),
}


@pytest.mark.parametrize(("status", "kind", "body", "ours", "part"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_becomes_one_of_our_errors(status, kind, body, ours, part):
    with Answering([(status, kind, body)]) as server, pytest.raises(CkanError) as caught:
        Ckan(server.url, TOKEN, ONCE).resource("r")
    assert type(caught.value) is ours
    assert part in str(caught.value)
    assert caught.value.hint
    assert len(str(caught.value)) < 450
    assert "<" not in str(caught.value)


def test_the_statement_that_failed_is_not_repeated():
    info = {"statement": ["INSERT ..."], "params": [{"name": "Ada"}], "orig": ["x"]}
    body = error("Validation Error", query=["Invalid query"], info=info)
    with Answering([(409, JSON, body)]) as server, pytest.raises(CkanRefused) as caught:
        Ckan(server.url, TOKEN, ONCE).resource("r")
    assert str(caught.value) == "resource_show: CKAN refuses query: Invalid query"
    assert caught.value.fields == ("query",)


def test_what_ckan_says_is_cut_and_never_holds_the_token():
    body = error("Validation Error", name=[f"{TOKEN} {'x' * 5000}"])
    with Answering([(409, JSON, body)]) as server, pytest.raises(CkanRefused) as caught:
        Ckan(server.url, TOKEN, ONCE).resource("r")
    assert TOKEN not in str(caught.value)
    assert len(str(caught.value)) < 400


# Who has no answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# name: URL with the port, whether CKAN may have done what it was asked
SILENT = {
    "nobody listens": ("http://127.0.0.1:{port}", False),
    "an unknown host": ("http://no-such-host.invalid:{port}", False),
    "TLS where there is none": ("https://127.0.0.1:{server}", False),
}


@pytest.mark.parametrize(("url", "in_doubt"), SILENT.values(), ids=SILENT)
def test_no_answer_is_an_error_that_a_retry_can_help(url, in_doubt):
    with Answering([(200, JSON, SHOWN)]) as server:
        url = url.format(port=free_port(), server=server.url.rsplit(":", 1)[1])
        with pytest.raises(CkanUnreachable, match=r"no (TLS )?connection to http") as caught:
            Ckan(url, TOKEN, ONCE).resource("r")
    assert caught.value.in_doubt is in_doubt
    assert caught.value.hint


def test_what_can_be_no_address_is_no_ckan():
    with pytest.raises(NotACkan, match="cannot be an address"):
        Ckan(f"http://{'a' * 70}..example", TOKEN, ONCE).resource("r")


def test_certificates_that_are_not_there_are_told(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent/bundle.pem")
    with pytest.raises(CkanError, match="certificates") as caught:
        Ckan("https://127.0.0.1", TOKEN, ONCE).resource("r")
    assert "REQUESTS_CA_BUNDLE" in caught.value.hint


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_an_answer_that_does_not_come_leaves_a_doubt(listener: socket.socket):
    settings = CkanSettings(read_timeout_s=0.2, retries=0, opening_retries=0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(CkanUnreachable, match=r"did not answer in 0\.2 s") as caught:
        Ckan(url, TOKEN, settings).resource("r")
    assert caught.value.in_doubt


def break_one(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.close()


def test_a_connection_that_breaks_leaves_a_doubt(listener: socket.socket):
    threading.Thread(target=break_one, args=[listener], daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(CkanUnreachable, match="broke") as caught:
        Ckan(url, TOKEN, ONCE).resource("r")
    assert caught.value.in_doubt


# name: status, whether CKAN may have done what it was asked
DOUBTS = {"429": (429, False), "500": (500, False), "503": (503, False)}
DOUBTS |= {"502": (502, True), "504": (504, True)}


@pytest.mark.parametrize(("status", "in_doubt"), DOUBTS.values(), ids=DOUBTS)
def test_a_proxy_that_gave_up_leaves_a_doubt(status, in_doubt):
    with Answering([(status, HTML, "")]) as server, pytest.raises(CkanUnreachable) as caught:
        Ckan(server.url, TOKEN, ONCE).resource("r")
    assert caught.value.in_doubt is in_doubt


# Retries

BRIEF = CkanSettings(retries=4, opening_retries=2, backoff_s=0.01, max_backoff_s=5.0)
BUSY = (503, HTML, "busy")
GOOD = (200, JSON, SHOWN)


def test_a_call_is_repeated_until_it_is_answered():
    with Answering([BUSY, (429, HTML, ""), GOOD]) as server:
        assert Ckan(server.url, TOKEN, BRIEF).resource("r") == RESOURCE
        assert len(server.seen) == 3


def test_an_url_that_never_answered_is_given_up_sooner():
    with Answering([BUSY]) as server:
        with pytest.raises(CkanUnreachable):
            Ckan(server.url, TOKEN, BRIEF).resource("r")
        assert len(server.seen) == 1 + BRIEF.opening_retries


def test_one_that_answered_before_is_given_more_time():
    with Answering([GOOD, BUSY]) as server:
        ckan = Ckan(server.url, TOKEN, BRIEF)
        ckan.resource("r")
        with pytest.raises(CkanUnreachable):
            ckan.resource("r")
        assert len(server.seen) == 2 + BRIEF.retries


def test_a_call_that_may_not_be_repeated_is_not():
    with Answering([BUSY, GOOD]) as server:
        with pytest.raises(CkanUnreachable):
            Ckan(server.url, TOKEN, BRIEF).call("datastore_upsert", {}, repeat=False)
        assert len(server.seen) == 1


@pytest.mark.parametrize("name", ["denied", "not found", "invalid", "a web page"])
def test_an_answer_that_no_retry_changes_is_not_asked_for_again(name):
    status, kind, body, ours, _ = ANSWERS[name]
    with Answering([(status, kind, body)]) as server:
        with pytest.raises(ours):
            Ckan(server.url, TOKEN, BRIEF).resource("r")
        assert len(server.seen) == 1


def test_ckan_is_left_alone_as_long_as_it_asks_for():
    with Answering([BUSY, GOOD], {"Retry-After": "1"}) as server:
        began = monotonic()
        Ckan(server.url, TOKEN, BRIEF).resource("r")
        assert monotonic() - began >= 1


def test_but_not_longer_than_the_settings_say():
    settings = CkanSettings(backoff_s=0.01, max_backoff_s=0.1)
    with Answering([BUSY, GOOD], {"Retry-After": "3600"}) as server:
        assert Ckan(server.url, TOKEN, settings).resource("r")


# Where the token goes


def test_a_redirect_is_not_followed():
    with (
        Answering([GOOD]) as elsewhere,
        Answering([(302, HTML, "")], {"Location": f"{elsewhere.url}/login"}) as server,
    ):
        with pytest.raises(NotACkan, match="redirects"):
            Ckan(server.url, TOKEN, BRIEF).resource("r")
        assert (len(server.seen), elsewhere.seen) == (1, [])


def test_a_password_in_netrc_does_not_take_the_tokens_place(tmp_path: Path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Answering([GOOD]) as server:
        Ckan(server.url, TOKEN, ONCE).resource("r")
    assert server.seen[0]["authorization"] == TOKEN


def test_without_a_token_none_is_sent():
    with Answering([GOOD]) as server:
        Ckan(server.url, settings=ONCE).resource("r")
    assert not server.seen[0].keys() & {"authorization", "x-ckan-api-key"}


# name: URL of CKAN, another, whether the token may go there
OWN = {
    "itself": ("https://ckan.example", "https://ckan.example/", True),
    "the same port, told": ("https://ckan.example", "https://ckan.example:443/", True),
    "in capitals": ("https://ckan.example", "HTTPS://CKAN.Example/", True),
    "another host": ("https://ckan.example", "https://example/x", False),
    "a longer host": ("https://ckan.example", "https://ckan.example.org/x", False),
    "a host that looks alike": ("https://ckan.example", "https://ckan.example@evil.org/", False),
    "a subdomain": ("https://ckan.example", "https://s3.ckan.example/x", False),
    "another port": ("https://ckan.example", "https://ckan.example:8443/x", False),
    "no TLS": ("https://ckan.example", "http://ckan.example/x", False),
    "a path": ("https://ckan.example", "/dataset/a", False),
    "a bucket": ("https://ckan.example", "gs://ckan.example/a.csv", False),
    "no URL": ("https://ckan.example", "http://[", False),
    "no port": ("https://ckan.example", "https://ckan.example:x/", False),
}


@pytest.mark.parametrize(("url", "other", "own"), OWN.values(), ids=OWN)
def test_the_token_goes_to_ckans_own_host_only(url, other, own):
    ckan = Ckan(url, TOKEN)
    assert ckan.owns(other) is own
    upload = f"{other.rstrip('/')}/dataset/a/resource/b/download/c.csv"
    told = {"Authorization": TOKEN} if own else {}
    assert ckan.location({"id": "b", "url": upload, "url_type": ""}) == upload
    assert ckan.headers_of(upload, "b") == told


def test_an_upload_is_asked_for_where_ckan_was_named():
    resource = {
        "id": "r",
        "package_id": "d",
        "url_type": "upload",
        "url": "https://public.example/data/dataset/d/resource/r/download/all%20trees.csv",
    }
    url = Ckan("http://ckan:5000/data/", TOKEN).location(resource)
    assert url == "http://ckan:5000/data/dataset/d/resource/r/download/all%20trees.csv"


# name: a URL that somebody else wrote, whether the token may go there
WRITTEN = {
    "its upload": (
        "https://ckan.example/data/dataset/d/resource/r-1/download/all%20trees.csv",
        True,
    ),
    "another's upload": ("https://ckan.example/data/dataset/d/resource/r-2/download/a.csv", False),
    "another's, whose id differs in its case": (
        "https://ckan.example/data/dataset/d/resource/R-1/download/a.csv",
        False,
    ),
    "another CKAN's on this host, whose path differs in its case": (
        "https://ckan.example/DATA/dataset/d/resource/r-1/download/a.csv",
        False,
    ),
    "another's rows": ("https://ckan.example/data/datastore/dump/r-2", False),
    "out of its upload": (
        "https://ckan.example/data/dataset/d/resource/r-1/download/../../../../datastore/dump/r-2",
        False,
    ),
    **{
        f"out of it by {slash}": (
            f"https://ckan.example/data/dataset/d/resource/r-1/download/..{slash}..{slash}dump",
            False,
        )
        for slash in ("%2F", "%2f", "\\")
    },
    **{
        f"out of it by {dots} alone": (
            f"https://ckan.example/data/dataset/d/resource/r-1/download/{dots}",
            False,
        )
        for dots in ("..", "%2e%2E", ".%2e", ".", "%2e")
    },
    "a name that begins with dots": (
        "https://ckan.example/data/dataset/d/resource/r-1/download/..csv",
        True,
    ),
    "itself": ("https://ckan.example/a/data/dataset/d/resource/r-1/download/a.csv", False),
    "another host": ("https://evil.org/data/dataset/d/resource/r-1/download/a.csv", False),
    "no URL": ("http://[", False),
    **{
        f"a host that programs read in two ways: {between!r}": (
            f"https://evil.org{between}@ckan.example/data/dataset/d/resource/r-1/download/a.csv",
            False,
        )
        for between in ("\\", "\\\\", "\\x", ":1\\", " ", "\t", "\n", "\x00")
    },
}


@pytest.mark.parametrize(("url", "own"), WRITTEN.values(), ids=WRITTEN)
def test_where_others_wrote_the_url_the_token_goes_to_the_resources_upload_only(url, own):
    ckan = Ckan("https://ckan.example/data/", TOKEN)
    assert ckan.headers_of(url, "r-1") == ({"Authorization": TOKEN} if own else {})
    assert Ckan("https://ckan.example/data/").headers_of(url, "r-1") == {}


# Answers of another form

ODD = [None, [], "x", 5, True, {}, [[]], {"results": 5}, {"fields": [{}], "meta": {}}, {"id": 5}]
ODD += [{"id": "d", "name": "d", "resources": kind} for kind in (None, 5, [5], [{}], {"a": "b"})]
ODD += [RESOURCE | {name: {}} for name in ("url", "format", "url_type", "package_id", "name")]
ODD += [
    {"fields": [{"id": "a", "type": 5}], "meta": {"aliases": [], "count": 0}},
    {"fields": [], "meta": {"aliases": 5, "count": 0}},
    {"records": [{"name": "a", "oid": "x"}], "results": [{}], "count": 1},
    {"records": [{"_id": None}], "results": [], "count": None},
]
QUESTIONS: dict[str, Callable[[Ckan], object]] = {
    "resource": lambda ckan: ckan.resource("r"),
    "dataset": lambda ckan: ckan.dataset("d"),
    "datasets": lambda ckan: list(ckan.datasets()),
    "table": lambda ckan: ckan.table("r"),
    "table_oids": lambda ckan: ckan.table_oids(["r"]),
    "shares_datastore": lambda ckan: ckan.shares_datastore({}),
    "site": lambda ckan: ckan.site(),
    "version": lambda ckan: ckan.version(),
    "is_gone": lambda ckan: ckan.is_gone("r"),
    "newest_id": lambda ckan: newest_id(ckan, "r"),
    "check_still_there": lambda ckan: ckan.check_still_there("r"),
    "register": lambda ckan: ckan.register("r", None),
    "withdraw": lambda ckan: ckan.withdraw("r"),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_an_answer_of_another_form_is_none_of_ckans(question):
    for result in ODD:
        answer = json.dumps({"success": True, "result": result})
        # Some of them have the form of what is asked for.
        with Answering([(200, JSON, answer)]) as server, suppress(NotACkan):
            question(Ckan(server.url, TOKEN, ONCE))


# What the caller gives

URLS = {
    "https://ckan.example": "https://ckan.example",
    " https://ckan.example/ ": "https://ckan.example",
    "http://ckan.example:5000/data": "http://ckan.example:5000/data",
    "https://ckan.example/api": "https://ckan.example",
    "https://ckan.example/api/": "https://ckan.example",
    "https://ckan.example/data/api/3/action/": "https://ckan.example/data",
    "https://ckan.example/rapid": "https://ckan.example/rapid",
}


@pytest.mark.parametrize(("given", "url"), URLS.items())
def test_the_url_is_that_of_the_start_page(given, url):
    assert Ckan(given).url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ckan.example",
        "ftp://ckan.example",
        "https://",
        "https://a:b:c",
        "http://[",
        "https://h?q",
    ],
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(UsageError, match="CKAN's URL"):
        Ckan(url)


def test_a_password_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(UsageError) as caught:
        Ckan("https://me:hunter2@ckan.example")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("token", ["a\nb: c", "tök", "a\x00"])
def test_what_is_no_token_is_refused_and_not_repeated(token):
    with pytest.raises(UsageError) as caught:
        Ckan("https://ckan.example", token)
    assert token not in f"{caught.value} {caught.value.hint}"


def test_the_token_is_never_shown():
    assert repr(Ckan("https://ckan.example", TOKEN)) == "Ckan('https://ckan.example')"
