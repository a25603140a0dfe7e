"""What may be fetched where others wrote the URL: judged by addresses, on real connections."""

import datetime
import socket
import ssl
import traceback
from contextlib import ExitStack, closing, contextmanager
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from http_server import HttpServer

from loader.errors import (
    AddressRefused,
    SourceError,
    SourceForbidden,
    SourceNotFound,
    SourceUnreachable,
    UsageError,
)
from loader.net.guard import ALLOWED_HOSTS, Guard, is_public
from loader.net.session import new_session
from loader.net.settings import SourceSettings
from loader.net.target import Target
from loader.source.stream import open_source

DATA = b"".join(b"%07d,some name\n" % n for n in range(180_000))  # 3.2 MB
NOTHING = Guard()  # beside the public internet


def guarded(guard, **options):
    return SourceSettings(backoff_s=0.001, max_backoff_s=0.01, guard=guard, **options)


def bytes_of(uri, guard, **options):
    with open_source(uri, guarded(guard, **options)) as source:
        return b"".join(iter(lambda: source.read(1 << 20), b""))


@contextmanager
def untouched():
    """A port of this machine to which nobody may connect meanwhile."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


# Addresses.

PUBLIC = [
    "8.8.8.8",
    "93.184.215.14",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2a00:1450:4001:800::200e",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
    "64:ff9b::808:808",
]
NOT_PUBLIC = {
    "unspecified": "0.0.0.0",  # noqa: S104
    "this network": "0.1.2.3",
    "loopback": "127.0.0.1",
    "the whole loopback": "127.255.1.2",
    "private 10": "10.0.0.1",
    "private 172": "172.16.0.1",
    "private 172, the last": "172.31.255.255",
    "private 192": "192.168.1.1",
    "link-local": "169.254.0.1",
    "metadata": "169.254.169.254",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of Oracle": "192.0.0.192",
    "Azure's host": "168.63.129.16",
    "shared": "100.64.0.1",
    "benchmarks": "198.18.0.1",
    "documentation": "203.0.113.7",
    "relay of 6to4": "192.88.99.1",
    "multicast": "224.0.0.1",
    "global multicast": "233.1.1.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "unspecified 6": "::",
    "loopback 6": "::1",
    "unique local": "fd00:ec2::254",
    "link-local 6": "fe80::1",
    "link-local 6 of an interface": "fe80::1%eth0",
    "site-local": "fec0::1",
    "multicast 6": "ff0e::1",
    "documentation 6": "2001:db8::1",
    "documentation 6, new": "3fff::1",
    "Teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "discard": "100::1",
    "segments": "5f00::1",
    "compatible": "::8.8.8.8",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped metadata": "::ffff:169.254.169.254",
    "6to4 of loopback": "2002:7f00:1::1",
    "6to4 of private": "2002:a00:1::1",
    "NAT64 of private": "64:ff9b::10.0.0.1",
    "NAT64 of metadata": "64:ff9b::169.254.169.254",
    "NAT64 of a network's own": "64:ff9b:1::808:808",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(ip_address(address))
    assert NOTHING.allows("a.example", 443, address)


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC)
def test_any_other_address_is_not(address):
    assert not is_public(ip_address(address))
    assert not NOTHING.allows("a.example", 443, address)


# The list of what is allowed.

# name: the list, what it allows, what it does not: host, port, address
RULES = {
    "a name": ("ckan", ("ckan", 5000, "10.0.0.1"), ("ckan2", 5000, "10.0.0.1")),
    "a name is no suffix": ("ckan", ("ckan", 80, "10.0.0.1"), ("my.ckan", 80, "10.0.0.1")),
    "a name in capitals": ("CKAN.Example.", ("ckan.example", 80, "10.0.0.1"), None),
    "a name of a URL in capitals": ("a.example", ("A.Example.", 80, "10.0.0.1"), None),
    "a name that is no ASCII": ("bücher.example", ("xn--bcher-kva.example", 80, "::1"), None),
    "a name and a port": ("ckan:5000", ("ckan", 5000, "10.0.0.1"), ("ckan", 5432, "10.0.0.1")),
    "a domain": ("*.example.org", ("a.b.example.org", 1, "::1"), ("example.org", 1, "::1")),
    "a domain is not its likes": ("*.a.org", ("x.a.org", 1, "::1"), ("xa.org", 1, "::1")),
    "an address": ("10.0.0.1", ("any", 80, "10.0.0.1"), ("10.0.0.1", 80, "10.0.0.2")),
    "an address and a port": ("10.0.0.1:80", ("a", 80, "10.0.0.1"), ("a", 81, "10.0.0.1")),
    "a network": ("10.0.0.0/8", ("a", 80, "10.255.0.1"), ("a", 80, "192.168.0.1")),
    "a network and a port": ("10.0.0.0/8:80", ("a", 80, "10.1.0.1"), ("a", 81, "10.1.0.1")),
    "a mapped address": ("10.0.0.0/8", ("a", 80, "::ffff:10.0.0.1"), ("a", 80, "::ffff:127.0.0.1")),
    "an IPv6 address": ("fd00::1", ("a", 80, "fd00::1"), ("a", 80, "fd00::2")),
    "an IPv6 address and a port": ("[fd00::1]:80", ("a", 80, "fd00::1"), ("a", 81, "fd00::1")),
    "an IPv6 network": ("fd00::/8", ("a", 80, "fdff::1"), ("a", 80, "fe80::1")),
    "several": (" ckan:5000, ,10.0.0.0/8,", ("a", 80, "10.0.0.1"), ("ckan", 80, "127.0.0.1")),
}


@pytest.mark.parametrize(("text", "allowed", "refused"), RULES.values(), ids=RULES)
def test_what_a_list_allows(text, allowed, refused):
    guard = Guard.read(text)
    assert guard.allows(*allowed)
    assert not NOTHING.allows(*allowed)
    assert refused is None or not guard.allows(*refused)


def test_an_empty_list_allows_nothing():
    assert Guard.read(" , ") == Guard.read("") == NOTHING


@pytest.mark.parametrize(
    "entry",
    [
        "http://ckan:5000",
        "ckan/path",
        "user@ckan",
        "ckan:",
        "ckan:0",
        "ckan:65536",
        "ckan:http",
        "10.0.0",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "300.1.1.1",
        "2130706433",
        "fd00:::1",
        "*",
        "*ckan",
        "a.*.org",
        "a b",
        "a..b",
        "ä" * 70,
        "[]",
    ],
)
def test_a_list_with_nonsense_is_wrong_usage(entry):
    with pytest.raises(UsageError, match=ALLOWED_HOSTS) as caught:
        Guard.read(f"ckan,{entry}")
    assert "10.0.0.0/8" in caught.value.hint
    with pytest.raises(UsageError):
        Guard((entry,))


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://ckan:5000/base", "ckan", 5000),
        ("http://CKAN", "ckan", 80),
        ("https://ckan/", "ckan", 443),
        ("https://ckan_1.internal/", "ckan_1.internal", 443),
        ("http://127.0.0.1:5000", "127.0.0.1", 5000),
        ("http://[::1]:5000", "::1", 5000),
    ],
)
def test_ckans_own_host_and_port_are_allowed(url, host, port):
    guard = Guard(("a.example",)).allowing(url)
    assert guard.allows(host, port, "::1" if ":" in host else "127.0.0.1")
    assert not guard.allows(host, port + 1, "127.0.0.1")
    assert guard.allows("a.example", 1, "127.0.0.1")


@pytest.mark.parametrize("url", ["", "ckan:5000", "gs://ckan/", "http://", "http://ckan:x/"])
def test_what_is_no_url_is_not_allowed(url):
    with pytest.raises(UsageError):
        NOTHING.allowing(url)


# What is fetched, and what is not.


@pytest.mark.parametrize(
    "uri",
    ["{}", "file://{}", "FILE://{}", "file:{}", "s3://bucket{}", "ftp://127.0.0.1{}", ""],
)
def test_nothing_but_http_and_buckets(uri, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(DATA)
    with pytest.raises(AddressRefused, match="at none of http, https, gs") as caught:
        open_source(uri.format(path), guarded(Guard(("0.0.0.0/0", "localhost"))))
    assert caught.value.hint
    assert not caught.value.retryable


def test_a_bucket_may_be_read(monkeypatch):
    with HttpServer(b"", failures=[404] * 9) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.port}")
        with pytest.raises(SourceNotFound):
            open_source("gs://bucket/a.csv", guarded(NOTHING))


@pytest.mark.parametrize("scheme", ["http", "HTTP", "https"])
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "LocalHost",
        "localhost.",
        "127.0.0.1.",
        "user:hunter2@127.0.0.1",
        "8.8.8.8@127.0.0.1",
    ],
)
def test_this_machine_is_refused_without_being_contacted(scheme, host, caplog):
    with untouched() as port, pytest.raises(AddressRefused, match="not at a public") as caught:
        open_source(f"{scheme}://{host}:{port}/a.csv", guarded(NOTHING))
    error = caught.value
    assert f":{port} is" in str(error)
    assert ALLOWED_HOSTS in error.hint
    assert not error.retryable
    assert "again" not in caplog.text
    assert "refused to connect to" in caplog.text
    assert "hunter2" not in "".join(traceback.format_exception(error)) + caplog.text


@pytest.mark.parametrize("allowed", ["127.0.0.1", "localhost", "127.0.0.0/8", "localhost:{}"])
def test_what_is_on_the_list_is_read(allowed):
    with HttpServer(DATA) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert bytes_of(url, Guard.read(allowed.format(server.port))) == DATA


def test_ckans_own_port_is_read_and_no_other():
    with HttpServer(DATA) as ckan, untouched() as port:
        guard = NOTHING.allowing(f"http://localhost:{ckan.port}/")
        assert bytes_of(f"http://localhost:{ckan.port}/a.csv", guard) == DATA
        with pytest.raises(AddressRefused, match=f"localhost:{port}"):
            open_source(f"http://localhost:{port}/a.csv", guarded(guard))


def test_a_password_in_the_url_is_sent():
    with HttpServer(DATA, credentials=("user", "p@ss")) as server:
        url = server.url.replace("http://", "http://user:p%40ss@")
        assert bytes_of(url, Guard(("127.0.0.1",))) == DATA


@pytest.mark.parametrize("drops", [{}, {"ranges": False}, {"reset": True}, {"length": False}])
def test_a_dropped_download_is_taken_up_again(drops):
    with HttpServer(DATA, drop_after=1_000_000, drops=2, **drops) as server:
        assert bytes_of(server.url, Guard(("127.0.0.1",))) == DATA
        assert len(server.requests) == 3


# What is CKAN's own.


def test_one_url_of_a_host_is_read_and_no_other_of_it():
    with HttpServer(DATA) as ckan:
        guard = Guard(own=ckan.url)
        assert bytes_of(ckan.url, guard) == DATA
        for other in ("/other.csv", "/", "/data.csv/a", "/a/../../data.csv2", "//data.csv"):
            with pytest.raises(AddressRefused, match="not at a public"):
                open_source(ckan.url.replace("/data.csv", other), guarded(guard))
        with pytest.raises(AddressRefused):
            open_source(ckan.url.replace("127.0.0.1", "localhost"), guarded(guard))
        assert len(ckan.requests) == 1


@pytest.mark.parametrize(
    "target", ["/other.csv", "other.csv", "//127.0.0.1:{}/x", "/data.csv/../x"]
)
def test_a_redirect_within_the_host_of_the_own_url_is_refused(target):
    with HttpServer(DATA) as ckan:
        ckan.redirects["/data.csv"] = target.format(ckan.port)
        with pytest.raises(AddressRefused, match="not at a public"):
            open_source(ckan.url, guarded(Guard(own=ckan.url)))
        assert len(ckan.requests) == 1


def test_a_redirect_to_the_own_url_is_followed():
    with HttpServer(DATA) as ckan, HttpServer(b"") as elsewhere:
        elsewhere.redirects["/data.csv"] = ckan.url
        guard = Guard((f"127.0.0.1:{elsewhere.port}",), own=ckan.url)
        assert bytes_of(elsewhere.url, guard) == DATA


@pytest.mark.parametrize("own", [True, False], ids=["own", "another's"])
def test_a_session_that_is_closed_has_no_connection_left(own):
    with HttpServer(DATA) as server:
        guard = Guard((f"127.0.0.1:{server.port}",), own=server.url if own else None)
        session = new_session(Target(server.url, "shown", (5, 5), guard=guard))
        assert session.get(server.url, timeout=5).content == DATA
        pools = session.get_adapter(server.url).poolmanager.pools
        assert len(pools) == 1
        session.close()
        assert len(pools) == 0


def test_the_own_url_is_not_shown():
    assert "hunter2" not in repr(Guard(own="http://user:hunter2@ckan/a.csv"))


@pytest.mark.parametrize("guard", [None, Guard(("127.0.0.1",))], ids=["no guard", "guard"])
@pytest.mark.parametrize(("stays", "sent"), [(True, [True, False]), (False, [True, True])])
def test_a_token_for_one_url_is_not_sent_to_another_of_its_host(guard, stays, sent):
    token = {"Authorization": "a-token"}
    with HttpServer(DATA, redirects={"/data.csv": "/other.csv"}) as server:
        bytes_of(server.url, guard, headers=token, token_stays=stays)
        assert ["authorization" in request for request in server.requests] == sent


# What is closed.

ARTIFACTS = "gs://runs/air/can"
# name: a URL of what lies below it
CLOSED = {
    "an object": "gs://runs/air/can/aircan_load/1/load/rejects.csv",
    "the place itself": "gs://runs/air/can",
    "in capitals": "GS://runs/air/can/a.csv",
    "a slash too many": "gs://runs//air/can/a.csv",
    "slashes too many": "gs://runs/air//can/a.csv",
    "a detour": "gs://runs/other/../air/can/a.csv",
    "encoded": "gs://runs/air%2Fcan/a.csv",
    "with a query": "gs://runs/air/can/a.csv?generation=1",
    "with a user": "gs://me@runs/air/can/a.csv",
    "Google's path": "https://storage.googleapis.com/runs/air/can/a.csv",
    "http": "http://storage.googleapis.com/runs/air/can/a.csv",
    "a port": "https://storage.googleapis.com:443/runs/air/can/a.csv",
    "in capitals at Google": "https://Storage.GoogleAPIs.com/runs/air/can/a.csv",
    "Google's host": "https://runs.storage.googleapis.com/air/can/a.csv",
    "an encoded path": "https://storage.googleapis.com/runs/air%2fcan%2Fa.csv",
    "a signed URL": "https://storage.googleapis.com/runs/air/can/a.csv?X-Goog-Signature=hunter2",
    "Google's console": "https://storage.cloud.google.com/runs/air/can/a.csv",
    "the older host": "https://runs.commondatastorage.googleapis.com/air/can/a.csv",
    "JSON API": "https://storage.googleapis.com/storage/v1/b/runs/o/air%2Fcan%2Fa.csv?alt=media",
    "JSON API, download": "https://www.googleapis.com/download/storage/v1/b/runs/o/air%2Fcan%2Fa",
    "JSON API of a region": "https://storage.europe-west3.rep.googleapis.com/runs/air/can/a.csv",
    "a final dot": "https://storage.googleapis.com./runs/air/can/a.csv",
    "Google's host, a final dot": "https://runs.storage.googleapis.com./air/can/a.csv",
    "a region's host": "https://runs.storage.us-east1.rep.googleapis.com/air/can/a.csv",
    "the download host": "https://runs.storage-download.googleapis.com/air/can/a.csv",
    "an odd port": "https://runs.storage.googleapis.com:0443/air/can/a.csv",
    "a detour at Google": "https://storage.googleapis.com/./x/../runs/air/can/a.csv",
    "a detour, encoded": "https://storage.googleapis.com/x/%2e%2e/runs/air/can/a.csv",
    "a host that is the bucket": "http://runs/air/can/a.csv",
    "the emulator": "http://127.0.0.1:9/runs/air/can/a.csv",
    "the emulator's API": "http://127.0.0.1:9/download/storage/v1/b/runs/o/air%2Fcan%2Fa.csv",
}
OPEN = [
    "gs://runs/air/canary/a.csv",
    "gs://runs/air/other.csv",
    "gs://runs2/air/can/a.csv",
    "https://storage.googleapis.com/runs/air/canary.csv",
    "https://runs2.storage.googleapis.com/air/can/a.csv",
    "https://example.org/runs/air/can/a.csv",
]


@pytest.mark.parametrize("base", [ARTIFACTS, f"{ARTIFACTS}/", f" {ARTIFACTS} ", "gs://runs"])
@pytest.mark.parametrize("url", CLOSED.values(), ids=CLOSED)
def test_an_artifact_is_not_read(url, base, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(AddressRefused, match="among the artifacts") as caught:
        open_source(url, guarded(Guard.read("0.0.0.0/0", base)))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", OPEN)
def test_what_is_beside_the_artifacts_may_be_read(url):
    Guard.read("", ARTIFACTS).require_open(url)


@pytest.mark.parametrize("base", ["", "/var/lib/artifacts", "file:///var/lib/artifacts"])
def test_artifacts_in_a_folder_are_out_of_reach_anyway(base):
    assert Guard.read("", base) == NOTHING


def test_a_redirect_to_an_artifact_is_refused(monkeypatch):
    with HttpServer(DATA) as bucket, HttpServer(b"") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{bucket.port}")
        server.redirects["/data.csv"] = f"http://127.0.0.1:{bucket.port}/runs/air/can/a.csv"
        with pytest.raises(AddressRefused, match="among the artifacts"):
            open_source(server.url, guarded(Guard.read("127.0.0.1", ARTIFACTS)))
        assert not bucket.requests


# Redirects.


def test_a_redirect_to_what_is_allowed_is_followed_and_the_token_stays_behind():
    token = {"Authorization": "a-token"}
    with HttpServer(DATA) as there, HttpServer(b"") as here:
        here.redirects["/data.csv"] = there.url.replace("127.0.0.1", "localhost")
        guard = Guard((f"127.0.0.1:{here.port}", f"localhost:{there.port}"))
        assert bytes_of(here.url, guard, headers=token) == DATA
        assert here.requests[0]["authorization"] == "a-token"
        assert "authorization" not in there.requests[0]


@pytest.mark.parametrize("target", ["http://localhost:{}/a", "//127.1:{}/a", "https://[::1]:{}/"])
def test_a_redirect_to_what_is_not_allowed_is_refused(target):
    with untouched() as port, HttpServer(b"") as server:
        server.redirects["/data.csv"] = target.format(port)
        with pytest.raises(AddressRefused, match=f":{port} is not at a public") as caught:
            open_source(server.url, guarded(Guard((f"127.0.0.1:{server.port}",))))
        assert str(caught.value).startswith(server.url)
        assert len(server.requests) == 1


def test_a_redirect_of_a_redirect_is_judged_too():
    with untouched() as port, HttpServer(b"") as server:
        server.redirects = {"/data.csv": "/b", "/b": f"http://127.0.0.1:{port}/"}
        with pytest.raises(AddressRefused):
            open_source(server.url, guarded(Guard((f"127.0.0.1:{server.port}",))))
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gs://b/a?sig=hunter2", "data:,a"]
)
def test_a_redirect_to_another_kind_of_uri_is_refused(target):
    with (
        HttpServer(DATA, redirects={"/data.csv": target}) as server,
        pytest.raises(AddressRefused, match="neither http:// nor https://") as caught,
    ):
        open_source(server.url, guarded(Guard(("127.0.0.1",))))
    assert caught.value.hint
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


# Names.


@pytest.fixture
def resolve(monkeypatch):
    """Let `moving.example` have other addresses each time, and tell which are left."""
    real = socket.getaddrinfo

    def start(*answers):
        left = list(answers)

        def getaddrinfo(host, *args, **options):
            addresses = left.pop(0) if host == "moving.example" else [host]
            return [found for each in addresses for found in real(each, *args, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return left

    return start


def test_a_name_with_one_address_that_is_not_allowed_is_refused(resolve):
    with untouched() as port:
        resolve(["8.8.8.8", "127.0.0.1"])
        with pytest.raises(AddressRefused, match=r"moving.example:\d+ is not") as caught:
            open_source(f"http://moving.example:{port}/", guarded(NOTHING))
    assert "127.0.0.1" not in str(caught.value) + caught.value.hint  # a name of a network in here


def test_all_addresses_of_a_name_are_tried(resolve):
    with HttpServer(DATA) as server:
        resolve(["::1", "127.0.0.1"])
        url = server.url.replace("127.0.0.1", "moving.example")
        assert bytes_of(url, Guard(("127.0.0.1", "::1"))) == DATA


def test_a_name_is_resolved_once_for_a_connection_and_judged_for_each(resolve):
    with HttpServer(DATA, drop_after=1_000_000, drops=1) as server:
        left = resolve(["127.0.0.1"], ["::1"], ["127.0.0.1"])
        url = server.url.replace("127.0.0.1", "moving.example")
        with open_source(url, guarded(Guard(("127.0.0.1",)))) as source:
            assert left == [["::1"], ["127.0.0.1"]]
            with pytest.raises(AddressRefused):
                source.read()
        assert left == [["127.0.0.1"]]
        assert len(server.requests) == 1


def test_a_connection_that_ends_up_elsewhere_is_asked_for_nothing(monkeypatch):
    real, answers = socket.getaddrinfo, ["10.9.9.9", "127.0.0.1"]  # whatever is looked up
    with HttpServer(DATA) as server:
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *args, **kw: real(answers.pop(0), *args, **kw)
        )
        with pytest.raises(AddressRefused):
            open_source(f"http://10.9.9.9:{server.port}/", guarded(Guard(("10.9.9.9",))))
        assert not answers
        assert not server.requests


# The same errors as without a guard.


def error_of(url, guard, **options):
    with pytest.raises(SourceError) as caught:
        open_source(url, guarded(guard, **options))
    return type(caught.value), str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:{free}/", "connection refused (tried 4 times)"),
        ("http://nothing.invalid/", "the host name does not resolve (tried 3 times)"),
        ("http://127.0.0.1:{silent}/", "timed out (tried once)"),
        ("https://127.0.0.1:{plain}/", "no TLS connection"),
        ("http://[::1/", "cannot be read"),
        ("http://%s.example/" % ("a" * 64), "cannot be read"),
    ],
)
def test_what_fails_is_told_as_ever(url, message):
    with ExitStack() as stack:
        silent = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        with closing(socket.create_server(("127.0.0.1", 0))) as closed:
            free = closed.getsockname()[1]
        plain = stack.enter_context(HttpServer(DATA))
        url = url.format(free=free, silent=silent.getsockname()[1], plain=plain.port)
        unlike, like = (
            error_of(url, guard, read_timeout_s=0.2) for guard in (None, Guard(("127.0.0.1",)))
        )
    assert message in like[1]
    assert like[0] is unlike[0]
    assert like[2] == unlike[2]


def test_a_host_that_takes_no_connection_times_out():
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full, ExitStack() as stack:
        for _ in range(4):  # more than its queue holds: it answers no more
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        kind, message, _ = error_of(url, Guard(("127.0.0.1",)), connect_timeout_s=0.1)
    assert kind is SourceUnreachable
    assert "timed out (tried once)" in message


# The environment.


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_no_proxy_is_asked(variable, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HttpServer(DATA) as server, HttpServer(b"the proxy's") as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        assert bytes_of(server.url, None) == b"the proxy's"
        assert bytes_of(server.url, Guard(("127.0.0.1",))) == DATA


def test_no_password_of_this_machine_is_sent(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login user password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with HttpServer(DATA, credentials=("user", "hunter2")) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert bytes_of(url, None) == DATA
        with HttpServer(b"", redirects={"/data.csv": url}) as first:
            for each in (url, first.url):
                with pytest.raises(SourceForbidden):
                    open_source(each, guarded(Guard(("127.0.0.1",))))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of `localhost`, by nobody, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(pem)
    )
    return str(path)


@pytest.fixture
def tls_server(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    server = HttpServer(DATA, drop_after=1_000_000, drops=1)
    with server:
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        yield server


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_over_tls_the_certificate_is_that_of_the_name(
    variable, tls_server, certificate, monkeypatch
):
    url = f"https://localhost:{tls_server.port}/data.csv"
    guard = Guard(("127.0.0.1",))
    with pytest.raises(SourceUnreachable, match="no TLS connection"):
        open_source(url, guarded(guard))
    monkeypatch.setenv(variable, certificate)
    assert bytes_of(url, guard) == DATA
    with pytest.raises(SourceUnreachable, match="no TLS connection"):
        open_source(url.replace("localhost", "127.0.0.1"), guarded(guard))
    with pytest.raises(AddressRefused):
        open_source(url, guarded(NOTHING))
