"""aircan reload: a resource is looked up in CKAN and loaded, one or many."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from loads import rows, settings, sql
from portal import Portal

from loader import errors, load, reload, reload_all, reload_dataset
from loader.net.guard import Guard
from loader.net.settings import SourceSettings

TREES = b"tree,height\nLinde,12.50\nEiche,20\n"
HALL = [("Linde", "12.50"), ("Eiche", "20")]
HOSTS = ("127.0.0.1", "localhost")


class Web:
    """A web server elsewhere: serves files, redirects, and keeps what it was sent."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.headers: list[dict[str, str]] = []  # of every GET
        self.proxied = ""  # who answers what is posted
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.headers.append({name.lower(): value for name, value in self.headers.items()})
                if self.path in web.redirects:
                    self.send_response(302)
                    self.send_header("Location", web.redirects[self.path])
                    self.end_headers()
                    return
                content = web.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sent = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
                answer = requests.post(web.proxied + self.path, body, headers=sent, timeout=60)
                self.send_response(answer.status_code)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server that the operator allows."""
    server = Web()
    places = (server.url.removeprefix("http://").replace("127.0.0.1", host) for host in HOSTS)
    monkeypatch.setenv("AIRCAN_ALLOWED_HOSTS", ", ".join(places))
    yield server
    server.close()


@pytest.fixture
def inner() -> Iterator[Web]:
    """A server of the operator's network, with something that is nobody else's business."""
    server = Web()
    server.files["/secret.csv"] = b"password\nhunter2\n"
    yield server
    server.close()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_an_uploaded_file_is_loaded(portal: Portal):
    resource = portal.new_resource(upload=TREES, name="trees.csv")
    report = reload(resource["id"], **settings(portal))
    assert report.rows == 2
    assert rows(portal, resource["id"]) == HALL
    shown = portal.action("resource_show", id=resource["id"])
    assert shown["hash"] == hashlib.md5(TREES, usedforsecurity=False).hexdigest()
    assert shown["datastore_active"] is True


def test_the_file_of_a_private_dataset_is_loaded_with_the_token(portal: Portal):
    resource = portal.new_resource(upload=TREES, private=True)
    reload(resource["id"], **settings(portal))
    assert rows(portal, resource["id"]) == HALL


def test_a_password_in_netrc_does_not_take_the_tokens_place(
    portal_212: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    resource = portal_212.new_resource(upload=TREES, private=True)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    reload(resource["id"], **settings(portal_212))
    assert rows(portal_212, resource["id"]) == HALL


def test_a_private_resource_is_not_found_without_a_token(portal: Portal):
    resource = portal.new_resource(upload=TREES, private=True)
    with pytest.raises(errors.CkanError, match="resource_show"):
        reload(resource["id"], **settings(portal) | {"ckan_token": None})


def test_the_token_stays_at_home_when_the_file_is_elsewhere(portal_212: Portal, web: Web):
    web.files["/trees.csv"] = TREES
    resource = portal_212.new_resource(f"{web.url}/trees.csv")
    reload(resource["id"], **settings(portal_212))
    assert rows(portal_212, resource["id"]) == HALL
    assert web.headers
    assert not any(portal_212.token in value for sent in web.headers for value in sent.values())


def test_the_token_is_not_sent_on_to_where_ckan_redirects(portal_212: Portal, web: Web):
    """As portals do that keep their uploads in a bucket."""
    resource = portal_212.new_resource(upload=TREES, private=True, name="trees.csv")
    way = f"/dataset/{resource['package_id']}/resource/{resource['id']}/download/trees.csv"
    # One server, two hosts to whoever asks it: CKAN, behind a proxy, and the bucket.
    web.proxied = portal_212.url
    web.redirects[way] = f"{web.url.replace('127.0.0.1', 'localhost')}/bucket/trees.csv"
    web.files["/bucket/trees.csv"] = TREES
    reload(resource["id"], **settings(portal_212) | {"ckan_url": web.url})
    assert rows(portal_212, resource["id"]) == HALL
    asked, sent_on = web.headers
    assert asked["authorization"] == portal_212.token
    assert not any(portal_212.token in value for value in sent_on.values())


def test_the_resource_says_how_its_file_is_to_be_read(portal_212: Portal):
    content = "Baum;Höhe\nLinde;12,5\n".encode("latin-1")
    schema = {"fields": [{"name": "Höhe", "type": "number", "decimalChar": ","}]}
    resource = portal_212.new_resource(
        upload=content, encoding="latin-1", schema=json.dumps(schema)
    )
    reload(resource["id"], **settings(portal_212))
    assert rows(portal_212, resource["id"]) == [("Linde", "12.5")]


def test_a_resource_without_a_file_is_refused(portal_212: Portal):
    dataset = portal_212.new_dataset()
    made = portal_212.action(
        "datastore_create",
        resource={"package_id": dataset["id"], "name": "typed in"},
        fields=[{"id": "a", "type": "text"}],
        records=[{"a": "kept"}],
    )
    with pytest.raises(errors.UsageError, match="has no file"):
        reload(made["resource_id"], **settings(portal_212))
    assert portal_212.search(made["resource_id"])["total"] == 1


@pytest.mark.parametrize("url", ["file://{}", "gopher://localhost{}"])
def test_a_resource_cannot_name_a_file_of_this_machine(
    portal_212: Portal, tmp_path: Path, url: str
):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    resource = portal_212.new_resource(url.format(secret), format="CSV")
    portal_212.action("resource_patch", id=resource["id"], url=url.format(secret))
    with pytest.raises(errors.UsageError, match="is at none of http, https, gs"):
        reload(resource["id"], **settings(portal_212))
    [outcome] = reload_dataset(resource["package_id"], **settings(portal_212))
    assert outcome.status == "failed"


def no_table(portal: Portal, resource_id: str) -> bool:
    return sql(portal, "SELECT to_regclass(%s)", f'"{resource_id}"') == [(None,)]


# How an editor may spell an address of the operator's network.
INNER = ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0"]


@pytest.mark.parametrize("host", INNER)
def test_an_editors_url_leads_to_no_address_of_the_operators_network(
    portal_212: Portal, inner: Web, host: str
):
    url = f"{inner.url.replace('127.0.0.1', host)}/secret.csv"
    resource = portal_212.new_resource("http://example.org/a.csv")
    portal_212.action("resource_patch", id=resource["id"], url=url)
    with pytest.raises(errors.AddressRefused, match="not at a public address") as caught:
        reload(resource["id"], **settings(portal_212))
    assert "AIRCAN_ALLOWED_HOSTS" in (caught.value.hint or "")
    [outcome] = reload_dataset(resource["package_id"], **settings(portal_212))
    assert outcome.status == "failed"
    command = aircan(portal_212, "reload", resource["id"], "--via", "api")
    assert (command.returncode, inner.headers) == (1, [])
    assert "is not at a public address" in command.stderr
    assert no_table(portal_212, resource["id"])


def test_a_file_that_is_loaded_already_is_not_compared_with_an_inner_one(
    portal_212: Portal, inner: Web
):
    resource = portal_212.new_resource(upload=TREES)
    reload(resource["id"], **settings(portal_212))
    portal_212.action(
        "resource_patch", id=resource["id"], url=f"{inner.url}/secret.csv", url_type=""
    )
    [outcome] = reload_dataset(resource["package_id"], **settings(portal_212))
    assert (outcome.status, inner.headers) == ("failed", [])


def test_a_redirect_leads_to_no_address_of_the_operators_network(
    portal_212: Portal, web: Web, inner: Web
):
    web.redirects["/a.csv"] = f"{inner.url}/secret.csv"
    resource = portal_212.new_resource(f"{web.url}/a.csv")
    with pytest.raises(errors.AddressRefused):
        reload(resource["id"], **settings(portal_212))
    assert (len(web.headers), inner.headers) == (1, [])


# What stands in an URL of the very CKAN, which is at an address of the operator's network too.
@pytest.mark.parametrize(
    "path",
    [
        "api/3/action/organization_list",
        "datastore/dump/{other}",
        "dataset/{dataset}/resource/{other}/download/trees.csv",
        "dataset/{dataset}/resource/{mine}/download/../../{other}/download/trees.csv",
        "dataset/{dataset}/resource/{mine}/download/a%2F..%2F..%2Ftrees.csv",
    ],
)
def test_of_the_very_ckan_only_the_upload_of_the_resource_is_fetched(portal_212: Portal, path: str):
    other = portal_212.new_resource(upload=TREES)
    mine = portal_212.new_resource("http://example.org/a.csv")
    named = {"dataset": other["package_id"], "other": other["id"], "mine": mine["id"]}
    portal_212.action(
        "resource_patch", id=mine["id"], url=f"{portal_212.url}/{path}".format(**named)
    )
    with pytest.raises(errors.AddressRefused, match="not at a public address"):
        reload(mine["id"], **settings(portal_212))
    assert no_table(portal_212, mine["id"])


@pytest.mark.parametrize("target", ["api/3/action/datastore_search", "datastore/dump/some"])
@pytest.mark.parametrize("guard", [None, Guard(HOSTS)], ids=["inner", "allowed"])
def test_an_upload_that_redirects_within_ckan_takes_neither_token_nor_leave_along(
    portal_212: Portal, inner: Web, target: str, guard: Guard | None
):
    """As CKAN redirects for a link, to whatever the publisher has written by then."""
    resource = portal_212.new_resource(upload=TREES, private=True, name="trees.csv")
    way = f"/dataset/{resource['package_id']}/resource/{resource['id']}/download/trees.csv"
    inner.proxied = portal_212.url
    inner.redirects[way] = f"{inner.url}/{target}"
    inner.files[f"/{target}"] = TREES
    source = SourceSettings(guard=guard)
    given = {**settings(portal_212), "ckan_url": inner.url, "source": source}
    if guard is None:
        with pytest.raises(errors.AddressRefused):
            reload(resource["id"], **given)
        assert len(inner.headers) == 1
    else:
        reload(resource["id"], **given)
        assert "authorization" not in inner.headers[1]
    assert inner.headers[0]["authorization"] == portal_212.token
    # Nor where the operator names the upload: the token is that of the operator all the same.
    inner.headers.clear()
    del given["source"]
    load(inner.url + way, **given, resource_id=resource["id"])
    assert ["authorization" in sent for sent in inner.headers] == [True, False]


def test_what_a_guard_of_the_callers_allows_is_fetched(portal_212: Portal, inner: Web):
    resource = portal_212.new_resource(f"{inner.url}/secret.csv")
    source = SourceSettings(guard=Guard(("127.0.0.1",)))
    assert reload(resource["id"], **settings(portal_212), source=source).rows == 1


def test_what_the_operator_names_is_loaded_from_anywhere(portal_212: Portal, inner: Web):
    resource = portal_212.new_resource("http://example.org/a.csv")
    url = f"{inner.url}/secret.csv"
    assert load(url, **settings(portal_212), resource_id=resource["id"]).rows == 1
    done = aircan(portal_212, "load", url, "--resource-id", resource["id"])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "url", ["gs://runs/aircan/aircan_load/1/load/rejects.csv", "gs://runs/aircan//a"]
)
def test_a_resource_cannot_name_an_artifact(
    portal_212: Portal, url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRCAN_ARTIFACTS", "gs://runs/aircan/")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    resource = portal_212.new_resource(url)
    with pytest.raises(errors.AddressRefused, match="among the artifacts"):
        reload(resource["id"], **settings(portal_212))


def test_a_list_of_hosts_that_means_nothing(portal_212: Portal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRCAN_ALLOWED_HOSTS", "http://files")
    resource = portal_212.new_resource(upload=TREES)
    done = aircan(portal_212, "reload", resource["id"])
    assert done.returncode == 2
    assert "AIRCAN_ALLOWED_HOSTS: 'http://files'" in done.stderr


def test_a_resource_without_a_url_is_skipped(portal_212: Portal):
    resource = portal_212.new_resource(format="CSV")
    portal_212.action("resource_patch", id=resource["id"], url="")
    with pytest.raises(errors.UsageError, match="has no file"):
        reload(resource["id"], **settings(portal_212))
    [outcome] = reload_dataset(resource["package_id"], **settings(portal_212))
    assert (outcome.status, outcome.reason) == ("skipped", "it has no file")


def test_an_id_that_ckan_does_not_know(portal: Portal):
    with pytest.raises(errors.CkanNotFound, match="resource_show"):
        reload("7b5d8d2c-3f0e-4c39-9f2b-3a8f0d1f6a11", **settings(portal))


def test_of_a_dataset_what_is_loaded_already_is_left_out(portal: Portal, web: Web):
    web.files["/a.csv"] = TREES
    dataset = portal.new_dataset()
    wanted = portal.new_resource(f"{web.url}/a.csv", package_id=dataset["id"], name="a")
    portal.new_resource(f"{web.url}/b.pdf", package_id=dataset["id"], name="b", format="PDF")
    broken = portal.new_resource(f"{web.url}/none.csv", package_id=dataset["id"], name="c")

    def statuses(**options: bool) -> list[str]:
        outcomes = reload_dataset(dataset["name"], **settings(portal), **options)
        return [outcome.status for outcome in outcomes]

    assert statuses() == ["loaded", "skipped", "failed"]
    assert statuses() == ["unchanged", "skipped", "failed"]
    assert statuses(force=True) == ["loaded", "skipped", "failed"]
    web.files["/a.csv"] = TREES + b"Ulme,7\n"
    assert statuses()[0] == "loaded"
    assert portal.search(wanted["id"])["total"] == 3
    assert portal.action("resource_show", id=broken["id"])["datastore_active"] is False


def test_a_failed_load_does_not_make_the_next_one_skip(portal_212: Portal, web: Web):
    web.files["/a.csv"] = TREES
    dataset = portal_212.new_dataset()
    resource = portal_212.new_resource(f"{web.url}/a.csv", package_id=dataset["id"])
    assert [o.status for o in reload_dataset(dataset["name"], **settings(portal_212))] == ["loaded"]
    web.files["/a.csv"] = b'tree,height\nLinde,12.50\n"never closed,1\n'
    for _ in range(2):
        outcomes = list(reload_dataset(dataset["name"], **settings(portal_212)))
        assert [outcome.status for outcome in outcomes] == ["failed"]
    assert portal_212.search(resource["id"])["total"] == 2


def test_all_datasets_private_ones_too_but_no_inner_address(portal_212: Portal, inner: Web):
    """Once for all of these: each time it goes through what all other tests have left."""
    public = portal_212.new_resource(upload=TREES)
    private = portal_212.new_resource(upload=TREES, private=True)
    within = []
    for host in INNER:
        resource = portal_212.new_resource("http://example.org/a.csv")
        url = f"{inner.url.replace('127.0.0.1', host)}/secret.csv"
        portal_212.action("resource_patch", id=resource["id"], url=url)
        within.append(resource["id"])
    outcomes = {outcome.resource_id: outcome for outcome in reload_all(**settings(portal_212))}
    assert outcomes[public["id"]].status == outcomes[private["id"]].status == "loaded"
    for resource_id in within:
        assert outcomes[resource_id].status == "failed"
        assert "not at a public address" in (outcomes[resource_id].reason or "")
        assert no_table(portal_212, resource_id)
    assert inner.headers == []


def aircan(portal: Portal, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loader", *arguments],
        env={**os.environ, **portal.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_loads_one_and_says_so(portal_212: Portal):
    resource = portal_212.new_resource(upload=TREES)
    done = aircan(portal_212, "reload", resource["id"])
    assert done.returncode == 0, done.stderr
    assert f"2 rows loaded into {resource['id']}" in done.stdout
    assert "telling CKAN" in done.stderr
    assert "Query it" not in done.stdout


def test_the_command_shows_a_table_of_many_and_fails_if_one_did(portal_212: Portal, web: Web):
    dataset = portal_212.new_dataset()
    portal_212.new_resource(upload=TREES, package_id=dataset["id"], name="good")
    portal_212.new_resource(f"{web.url}/none.csv", package_id=dataset["id"], name="gone")
    done = aircan(portal_212, "reload", "--dataset", dataset["name"])
    assert done.returncode == 1
    good, gone = done.stdout.splitlines()[1:]
    assert all(word in good for word in ("good", "loaded", "2"))
    assert all(word in gone for word in ("gone", "failed", "404"))
    done = aircan(portal_212, "reload", "--dataset", dataset["name"], "--json")
    assert [one["status"] for one in json.loads(done.stdout)["resources"]] == [
        "unchanged",
        "failed",
    ]


@pytest.mark.parametrize(
    "arguments", [(), ("id", "--all"), ("--all", "--dataset", "x")], ids=" ".join
)
def test_the_command_wants_one_of_them(portal_212: Portal, arguments: tuple[str, ...]):
    done = aircan(portal_212, "reload", *arguments)
    assert done.returncode == 2
    assert "RESOURCE_ID, --dataset NAME, or --all" in done.stderr


def test_a_wrong_token_is_an_error_in_one_line(portal_212: Portal, monkeypatch):
    resource = portal_212.new_resource(upload=TREES, private=True)
    done = subprocess.run(
        [sys.executable, "-m", "loader", "reload", resource["id"]],
        env={**os.environ, **portal_212.environment, "AIRCAN_CKAN_TOKEN": "wrong-token"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "wrong-token" not in done.stdout + done.stderr
    assert done.stderr.startswith("aircan: ")
    assert len(done.stderr.splitlines()) == 2
