"""A stand-in for Solr, the one service of CKAN's that no package registry has.

It keeps the documents that CKAN indexes and finds them again by the values of their fields; of a
search by words it only knows whether a word is in a dataset's name or title. What it does not
understand it refuses, so that no test takes an answer of its for Solr's.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

Document = dict[str, Any]

EVERYTHING = "*:*"
TERM = re.compile(
    r"""(?P<sign>[+-]?)(?P<field>\w+):
        (?:\((?P<either>[^)]*)\) | "(?P<quoted>[^"]*)" | (?P<bare>[^\s()"]+))""",
    re.VERBOSE,
)
GROUP = re.compile(r"(?<![\w:])\+?\((?P<terms>\w+:[^()]*)\)")
VALUE = re.compile(r'"([^"]*)"|([^\s"]+)')


class NotUnderstood(Exception):
    """A query of a kind that only Solr can answer."""


class SolrStandIn:
    """The server, on a free port of this machine; a thread of this process.

    Args:
        version: The CKAN release whose schema it claims to have, such as "2.12".
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.documents: dict[str, Document] = {}
        handler = type("Handler", (_Handler,), {"index": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/solr/ckan"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def update(self, body: bytes) -> None:
        """Keep or delete documents: a JSON list of them, or an XML command."""
        if body.lstrip().startswith(b"["):
            for document in json.loads(body):
                self.documents[document["index_id"]] = document
            return
        command = ET.fromstring(body)  # noqa: S314  CKAN wrote it
        if command.tag == "delete":
            query = command.findtext("query") or ""
            for found in self.find([query]):
                del self.documents[found["index_id"]]
        elif command.tag != "commit":
            raise NotUnderstood(command.tag)

    def find(self, queries: list[str], sort: str = "") -> list[Document]:
        """Return the documents that all queries ask for, in order."""
        documents = list(self.documents.values())
        found = [each for each in documents if all(matches(query, each) for query in queries)]
        for key in reversed([key.strip() for key in sort.split(",") if key.strip()]):
            field, _, direction = key.partition(" ")
            if field != "score":
                found.sort(
                    key=lambda each, name=field: str(each.get(name, "")).lower(),
                    reverse=direction.lower() == "desc",
                )
        return found


def matches(query: str, document: Document) -> bool:
    """Return whether a document is one that the query asks for."""
    query = query.strip()
    if query == EVERYTHING:
        return True
    if group := GROUP.search(query):  # of alternatives, beside which there are no others
        rest = GROUP.sub(" ", query, count=1).strip().removeprefix("AND ")
        return matches(group["terms"], document) and (not rest or matches(rest, document))
    terms = list(TERM.finditer(query))
    words = TERM.sub(" ", query).split()
    alternatives = "OR" in words
    words = [word.strip('"').lower() for word in words if word not in {"AND", "OR"}]
    if any(re.search(r"[:(){}\[\]*?~^]", word) for word in words):
        raise NotUnderstood(query)
    text = f"{document.get('name', '')} {document.get('title', '')}".lower()
    answers = [_holds(term, document) for term in terms] + [word in text for word in words]
    return any(answers) if alternatives else all(answers)


def _holds(term: re.Match[str], document: Document) -> bool:
    asked = {term["quoted"] or term["bare"] or ""}
    if term["either"] is not None:
        asked = {quoted or bare for quoted, bare in VALUE.findall(term["either"])} - {"OR"}
    value = document.get(term["field"])
    values = {str(each) for each in (value if isinstance(value, list) else [value])}
    there = value is not None if asked == {"*"} else bool(values & asked)
    return there != (term["sign"] == "-")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: SolrStandIn

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self._respond(url.path, url.query, b"")

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._respond(url.path, url.query, body)

    def _respond(self, path: str, query: str, body: bytes) -> None:
        try:
            if path.rstrip("/").endswith("/schema"):
                schema = f'<schema name="ckan-{self.index.version}" version="1.6"/>'
                self._answer(200, schema.encode(), "text/xml")
            elif path.rstrip("/").endswith("/update"):
                self.index.update(body)
                self._answer(200, b'{"responseHeader": {"status": 0}}')
            elif path.rstrip("/").endswith("/select"):
                self._answer(200, self._select(parse_qs(query or body.decode())))
            else:
                self._answer(404, b"{}")
        except NotUnderstood as error:
            message = {"error": {"msg": f"the stand-in for Solr does not understand: {error}"}}
            self._answer(400, json.dumps(message).encode())

    def _select(self, asked: dict[str, list[str]]) -> bytes:
        queries = [*asked.get("q", [EVERYTHING]), *asked.get("fq", [])]
        found = self.index.find(queries, asked.get("sort", [""])[0])
        start, rows = int(asked.get("start", ["0"])[0]), int(asked.get("rows", ["10"])[0])
        answer = {
            "responseHeader": {"status": 0},
            "response": {"numFound": len(found), "start": start, "docs": found[start:][:rows]},
        }
        return json.dumps(answer).encode()

    def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
