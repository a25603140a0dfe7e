"""Sources: local files, HTTP with all its faults, Google Cloud Storage in front of its emulator."""

import http.client
import importlib
import io
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import uuid
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from google.cloud import storage
from http_server import LAST_MODIFIED, HttpServer
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from loader.errors import (
    SourceChanged,
    SourceError,
    SourceForbidden,
    SourceNotFound,
    SourceUnreachable,
    UsageError,
)
from loader.net.failures import Passing, network_errors, ours
from loader.net.guard import Guard
from loader.net.settings import SourceSettings
from loader.net.target import Target
from loader.net.uri import HARMLESS, fingerprint, mask_text, mask_uri
from loader.source import gcs
from loader.source.identity import Identity
from loader.source.stream import open_source

DATA = b"".join(b"%07d,some name\n" % n for n in range(180_000))  # 3.2 MB
QUICK = SourceSettings(backoff_s=0.001, max_backoff_s=0.01, read_timeout_s=10)
DROPS = {"drop_after": 1_000_000, "drops": 2}


def bytes_of(uri, settings=QUICK, **options):
    with open_source(uri, settings, **options) as source:
        return b"".join(iter(lambda: source.read(1 << 20), b""))


def read_exactly(source, size):
    return b"".join(iter(lambda: source.read(size - source.bytes_read), b""))


def free_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


# Local files.


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a file? 50%.csv"
    path.write_bytes(DATA)
    return path


def test_a_local_file_is_read_whole(file):
    assert bytes_of(str(file)) == DATA


def test_a_file_url_is_a_local_file(file):
    assert bytes_of(file.as_uri()) == DATA
    assert bytes_of(file.as_uri().replace("file://", "FILE://localhost")) == DATA


def test_a_local_source_tells_what_it_is(file):
    with open_source(str(file)) as source:
        assert (source.uri, source.name, source.size) == (str(file), file.name, len(DATA))
        assert source.seekable()
        source.read(100)
        assert source.bytes_read == 100
        assert source.seek(-5, io.SEEK_END) == len(DATA) - 5
        assert source.read(100) == DATA[-5:]
        assert source.identity.size == len(DATA)
        assert source.end_is_certain
    with pytest.raises(ValueError, match="closed"):
        source.read(1)


def test_the_identity_of_a_file_changes_with_it(file):
    def identity():
        with open_source(str(file)) as source:
            return source.identity

    first = identity()
    assert identity() == first
    file.write_bytes(DATA[::-1])
    assert identity() != first


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(DATA + b"more"),
        lambda path: path.write_bytes(DATA[:2_000_000]),
        lambda path: os.utime(path, (0, 0)),
        lambda path: path.unlink(),
        lambda path: (
            path.with_suffix(".new").write_bytes(DATA),
            path.with_suffix(".new").rename(path),
        ),
    ],
    ids=["longer", "shorter", "written", "gone", "replaced"],
)
def test_a_file_that_changes_while_it_is_read_is_an_error(file, change):
    with open_source(str(file)) as source:
        source.read(1000)
        change(file)
        with pytest.raises(SourceChanged):
            source.read()


def test_another_file_than_the_expected_one_is_an_error(file):
    with open_source(str(file)) as source:
        expected = source.identity
    assert bytes_of(str(file), expected=expected) == DATA
    file.write_bytes(DATA + b"more")
    with pytest.raises(SourceChanged):
        open_source(str(file), expected=expected)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(SourceNotFound, match="no such file"):
        open_source(str(tmp_path / "nothing.csv"))
    with pytest.raises(SourceNotFound):
        open_source(str(tmp_path / "nothing" / "nothing.csv"))


def test_what_is_no_file_is_refused_with_a_hint(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in [(tmp_path, "is a directory"), (tmp_path / "pipe", "not a regular file")]:
        with pytest.raises(SourceError, match=message) as caught:
            open_source(str(path))
        assert caught.value.hint


@pytest.mark.parametrize("uri", ["", " ", "file://"])
def test_a_source_without_a_name_is_wrong_usage(uri):
    with pytest.raises(UsageError, match=f"the source '{uri}' names no file") as caught:
        open_source(uri)
    assert caught.value.hint


def test_a_path_that_no_file_can_have_is_an_error_of_ours():
    for path in ["a\0b", "x" * 5000]:
        with pytest.raises(SourceError):
            open_source(path)


def test_a_file_that_may_not_be_read_is_forbidden(file):
    file.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(SourceForbidden) as caught:
            open_source(str(file))
    finally:
        os.seteuid(user)
    assert "permissions" in caught.value.hint


# URIs.


@pytest.mark.parametrize("uri", ["s3://bucket/a.csv", "ftp://host/a.csv", "postgresql://u:p@h/d"])
def test_other_kinds_of_uri_are_wrong_usage(uri):
    with pytest.raises(UsageError, match="is not supported") as caught:
        open_source(uri)
    assert "gs://" in caught.value.hint
    assert "u:p@" not in str(caught.value)


@pytest.mark.parametrize("uri", ["gs://bucket", "gs://bucket/", "gs:///x.csv", "file://host/x.csv"])
def test_half_a_uri_is_wrong_usage(uri):
    with pytest.raises(UsageError):
        open_source(uri)


@pytest.mark.parametrize(
    "uri", ["http:///x.csv", "http://[::1/x.csv", "http://.a/x", "http://h:x/y"]
)
def test_a_malformed_url_is_an_error_at_once(uri):
    with pytest.raises(SourceError) as caught:
        open_source(uri, QUICK)
    assert not caught.value.retryable


MASKED = {
    "/data/a?sig=1.csv": "/data/a?sig=1.csv",
    "a file? 50%.csv": "a file? 50%.csv",
    "https://h/a.csv": "https://h/a.csv",
    "https://h:8080/a@b.csv?x=1#y": "https://***@b.csv?x=***#***",
    "https://h:8080/a.csv?x=a@b": "https://h:8080/a.csv?x=***",
    "http://u:123/hunter2@h/x.csv": "http://***@h/x.csv",
    "http://u:8080/hunter2/@h/x.csv": "http://***@h/x.csv",
    "https://[::1]:hunter2/x": "https://[::1]:***/x",
    "https://[::1]/a@b": "https://[::1]/a@b",
    "https://u:hun/ter2@h?token=hunter2": "https://***@h?token=***",
    "https://u:hun/ter2@h#hunter2": "https://***@h#***",
    "https://[::1]:80/a?b=c": "https://[::1]:80/a?b=***",
    "https://u:hunter2@h/a.csv": "https://***@h/a.csv",
    "https://u:hunter2@x@h/a.csv": "https://***@h/a.csv",
    "https://u:hun/ter2@h/a.csv": "https://***@h/a.csv",
    "https://u:hun#ter2@h/a": "https://***@h/a",
    "https://u:hun?ter2@h/a": "https://***@h/a",
    "https://hunter2@h/a.csv": "https://***@h/a.csv",
    "https://hunter2:@h/a.csv": "https://***@h/a.csv",
    "https://hunter2:x-oauth-basic@h/a.csv": "https://***@h/a.csv",
    "https://u:hunter2%40h/a": "https://u:***/a",
    "https://h/x/https://u:hunter2@h/a": "https://h/x/https://***@h/a",
    "https://h/a?hunter2": "https://h/a?***",
    "https://h/a?hunter2==": "https://h/a?***",
    "https://h?hunter2": "https://h?***",
    "https://h/a?pass=hunter2": "https://h/a?pass=***",
    "https://h/a?code=hunter2": "https://h/a?code=***",
    "https://h/a?jwt=hunter2": "https://h/a?jwt=***",
    "https://h/a?session=hunter2": "https://h/a?session=***",
    "https://h/a#access_token=hunter2": "https://h/a#***",
    "https://h/a#hunter2": "https://h/a#***",
    "https://h/a?a=1#?x=hunter2": "https://h/a?a=***#***",
    "https://h/a?sig=hunter2": "https://h/a?sig=***",
    "https://h/a?x=1&X-Goog-Signature=hunter2&y=2": "https://h/a?x=***&X-Goog-Signature=***&y=***",
    "https://h/a?X-Amz-Credential=hunter2&X-Amz-Date=hunter2": "https://h/a?X-Amz-Credential=***&X-Amz-Date=***",
    "https://h/a?AWSAccessKeyId=hunter2&Signature=hunter2&Expires=1": "https://h/a?AWSAccessKeyId=***&Signature=***&Expires=***",
    "https://h/a?sv=1&se=hunter2&sp=r": "https://h/a?sv=***&se=***&sp=***",
    "gs://b/o?GoogleAccessId=hunter2&Signature=hunter2": "gs://b/o?GoogleAccessId=***&Signature=***",
    "s3://b/o?Signature=hunter2": "s3://b/o?Signature=***",
    "https://h/a?access_token=hunter2;api_key=hunter2": "https://h/a?access_token=***;api_key=***",
    "https://h/a?a=hunter2&a=hunter2": "https://h/a?a=***&a=***",
    "https://h/a?a[]=hunter2&a%5B0%5D=hunter2": "https://h/a?a[]=***&a%5B0%5D=***",
    "https://h/a?%73ig=hunter2": "https://h/a?%73ig=***",
    "https://h/a?token%3Dhunter2": "https://h/a?***",
    "https://h/a%3Ftoken=hunter2": "https://h/a%3Ftoken=***",
    "https://h/a%253Ftoken%253Dhunter2": "https://h/a%253F***",
    "https://h/a?next=https://h/b?token=hunter2": "https://h/a?next=***",
    "https://h/a?format=csv%26token%3Dhunter2": "https://h/a?format=***",
    "https://h/a;jsessionid=hunter2/b.csv": "https://h/a;jsessionid=***/b.csv",
    "https://h/a%3bjsessionid=hunter2": "https://h/a%3bjsessionid=***",
    "https:/h/a?pass=hunter2": "https:/h/a?pass=***",
    "https:u:hunter2@h/a": "https:***@h/a",
    " https://h/a?pass=hunter2": " https://h/a?pass=***",
    "h/a?pass=hunter2": "h/a?pass=***",
    "//h/a?pass=hunter2": "//h/a?pass=***",
    "HTTPS://h/a?FORMAT=csv&Pass=hunter2": "HTTPS://h/a?FORMAT=csv&Pass=***",
    "https://h/a?version=1.0.0&page=2&limit=10": "https://h/a?version=1.0.0&page=2&limit=10",
    "https://h/a?year=2020&lang=de&date=2020-01-01": (
        "https://h/a?year=2020&lang=de&date=2020-01-01"
    ),
    "https://h/a?formats=csv&xpage=2": "https://h/a?formats=***&xpage=***",
    "https://h/a?format=": "https://h/a?format=",
    "https://h/a\nFAKE?x=hunter2\nFAKE": "https://h/a%0AFAKE?x=***",
    "https://h/\u202ea\x1b[2J.csv": "https://h/%E2%80%AEa%1B[2J.csv",
    "http://h:hunter2/y": "http://h:***/y",
    "u:hunter2@h/a.csv": "***@h/a.csv",
    "u:hunter2@h.example:8080/a.csv?x=1#y": "***@h.example:8080/a.csv?x=***#***",
    "u:hun/ter2@h/a.csv": "***@h/a.csv",
    "u:hun?ter2@h/a.csv": "***@h/a.csv",
    "u:hun#ter2@h/a.csv": "***@h/a.csv",
    "u:1/hunter2@h/a.csv": "***@h/a.csv",
    "u:hunter2@h": "***@h",
    " u:hunter2@h/a": "***@h/a",
    "hunter2@h/a.csv": "***@h/a.csv",
    "https//u:hunter2@h/x.csv": "https//***@h/x.csv",
    "https//hunter2@h/x.csv": "https//***@h/x.csv",
    "https/u:hun/ter2@h/x.csv": "https/***@h/x.csv",
    "x/https;//u:hunter2@h?a=1": "x/https;//***@h?a=***",
    "//u:hunter2@h/a": "//***@h/a",
    "//hunter2@h/a?b=hunter2": "//***@h/a?b=***",
    "h/a.csv?hunter2": "h/a.csv?***",
    "h:8080/a.csv?token=hunter2&x=2": "h:8080/a.csv?token=***&x=***",
    "[::1]:80/a?token=hunter2": "[::1]:80/a?token=***",
    "h.example/a?hunter2.x": "h.example/a?***",
    "h.example/a#access_token=hunter2": "h.example/a#***",
    "u:hunter2@h/a?next=https://i/b": "***@h/a?next=***",
    "u:hunter2@https://h/a": "***@https://h/a",
    "h/a?next=https://i/hunter2": "h/a?next=***",
    "localhost/a?format=csv&key=hunter2": "localhost/a?format=csv&key=***",
    "/data/u:p@h/a": "/data/u:p@h/a",
    "./u:p@h/a?b=c": "./u:p@h/a?b=c",
    "../a?b=c": "../a?b=c",
    ".a:b@c": ".a:b@c",
    "report@2020.csv": "report@2020.csv",
    "10:30.csv": "10:30.csv",
    "data/10:30@x.csv": "data/10:30@x.csv",
    "data//a:b.csv": "data//a:b.csv",
    "dir/what?.csv": "dir/what?.csv",
    "dir/what?now": "dir/what?now",
    "data.v1/a#b.csv": "data.v1/a#b.csv",
    "a b: c@d.csv": "a b: c@d.csv",
    "https://h/a?format=hunter2": "https://h/a?format=***",
    "https://h/a?version=hunter2&page=hunter2": "https://h/a?version=***&page=***",
}


@pytest.mark.parametrize(("uri", "shown"), MASKED.items())
def test_secrets_in_a_uri_are_masked(uri, shown):
    assert mask_uri(uri) == shown
    assert "hunter2" not in shown
    assert "ter2" not in shown


SHOWN = [
    *(
        "csv",
        "CSV",
        "geojson",
        "GetFeature",
        "WFS",
        "SHAPE-ZIP",
        "ns:trees",
        "street_trees",
        "-name",
    ),
    *("utf-8", "utf8", "iso-8859-1", "windows-1252", "latin1", "cp1252", "de", "de-AT", "pt_BR"),
    *("0", "-1", "1000000", "1.0.0", "2.0", "v2", "1,2,3", "", "*", "name,date"),
    *("2020", "2020-01", "2020-01-31", "20200131", "2020-01-31T10:00:00Z", "2020-01-31T10:00"),
]
HIDDEN = [
    *("hunter2", "correct-horse-battery", "abcd-efgh-ijkl-mnop", "aB3dE5gH", "s3cr3t", "a1"),
    *("7b5d8d2c-3f0e-4c39-9f2b-3a8f0d1f6a11", "d41d8cd98f00b204e9800998ecf8427e", "12345678901"),
    *("eyJhbGciOiJIUzI1NiJ9", "AKIAIOSFODNN7EXAMPLE", "ghp_a1", "x" * 16, "a%20b", "a/b", "p@ss"),
    *("aBcDeFgH", "é", "2020-01-31T10:00:00Zx", "1" * 30, "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1"),
]


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_what_looks_like_a_secret_is_none_of_the_harmless_values(name):
    for value in SHOWN:
        assert mask_uri(f"https://h/a?{name}={value}") == f"https://h/a?{name}={value}"
    for value in HIDDEN:
        for form in ("https://h/a?{}={}", "h/a?{}={}", "https://h/a?x=1&{}={}", "see h/a?{}={}."):
            told = form.format(name, value)
            assert value not in mask_uri(told) + mask_text(told)


@given(
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", min_size=20),
    st.sampled_from(sorted(HARMLESS)),
)
def test_no_long_token_is_a_harmless_value(token, name):
    assume(sum(map(str.isalpha, token)) > 15)
    assert token not in mask_uri(f"https://h/a?{name}={token}")


@given(
    st.sampled_from(["", "//", " "]),
    st.text("abcxyz0189%._-", max_size=8),
    st.text("abcxyz0189%._-/?#:@", max_size=8),
    st.sampled_from(["h", "h.example", "h:80", "[::1]:80"]),
    st.sampled_from(["", "/", "/x.csv", "/x.csv?a=b"]),
)
def test_no_password_is_shown_without_a_scheme(before, user, password, host, path):
    assume(not (before + user).strip().startswith("."))
    told = f"{before}{user}:{password}hunter2@{host}{path}"
    assert "hunter2" not in mask_uri(told)
    assert "hunter2" not in mask_text(f"see {told} ({told}), '{told}'")


@pytest.mark.parametrize("text", ["mailto:me@h.example", "me@h.example", "why? a: b@c", "10:30"])
def test_what_is_no_url_stays_in_a_text(text):
    assert mask_text(text) == text


@pytest.mark.parametrize("between", ["\\", "\\\\", "\\x", "a b", "\t", "\x00", "\x7f"])
@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
def test_a_host_that_programs_read_in_two_ways_is_none(scheme, between):
    with pytest.raises(UsageError, match="programs differ in which host that is"):
        open_source(f"{scheme}://evil.example:1{between}@ckan.example/a.csv")


def test_urls_in_a_text_are_masked():
    text = 'see https://h/a?pass=hunter2, or <a href="//h/b?c=hunter2">; why? because=so'
    shown = mask_text(text)
    assert "hunter2" not in shown
    assert shown.endswith("; why? because=so")


@given(
    st.text("abcxyz%3DF26;&=?#/:@. \n", max_size=8),
    st.text("abcxyz", max_size=8),
    st.sampled_from(["{}?{}=hunter2", "{}#{}hunter2", "{}?hunter2{}", "{}?{}%3Dhunter2"]),
)
def test_whatever_is_before_it_a_value_is_masked(before, name, form):
    assume(name not in HARMLESS)
    assert "hunter2" not in mask_uri("https://h/" + form.format(before, name))


@pytest.mark.parametrize("guard", [None, Guard(("127.0.0.1",))], ids=["", "guarded"])
def test_no_log_of_any_level_shows_a_secret(guard, caplog):
    """urllib3 logs each request, redirects too, if somebody sets the level DEBUG."""
    caplog.set_level(logging.DEBUG)
    with HttpServer(DATA, drop_after=1_000_000, drops=1, failures=[503]) as server:
        server.redirects = {"/a?pass=hunter2&format=csv": "/b?jwt=hunter2#hunter2"}
        with_user = server.url.replace("http://", "http://user:hunter2@").rpartition("/")[0]
        headers = {"X-Token": "hunter2"}
        settings = SourceSettings(backoff_s=0.001, guard=guard, headers=headers)
        assert bytes_of(f"{with_user}/a?pass=hunter2&format=csv", settings) == DATA
        assert any("hunter2" in request[":path"] for request in server.requests)
    assert "GET /a?pass=***&format=csv" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("guard", [None, Guard(("127.0.0.1",))], ids=["", "guarded"])
@pytest.mark.parametrize("header", [b"this is no header", b" : x", b"X: \xff\x00y", b"Location"])
def test_no_header_makes_a_log_show_a_secret(guard, header, caplog):
    caplog.set_level(logging.DEBUG)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection = listener.accept()[0]
        with connection:
            connection.recv(65536)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" + header
            connection.sendall(head + b"\r\nX-A: b\r\n\r\na\n1\n")

    settings = SourceSettings(retries=0, opening_retries=0, read_timeout_s=5, guard=guard)
    with closing(listener):
        threading.Thread(target=answer, daemon=True).start()
        url = f"http://u:hunter2@127.0.0.1:{listener.getsockname()[1]}/a?token=hunter2&sig=hunter2"
        with suppress(SourceError), open_source(url, settings) as source:
            source.read()
    assert "hunter2" not in caplog.text


ASKED = {
    "a value": ("https://h/a?id=1", "https://h/a?id=2"),
    "a value that is masked": ("https://h/a?pass=1", "https://h/a?pass=2"),
    "a bare one": ("https://h/a?one", "https://h/a?two"),
    "a parameter more": ("https://h/a?a=1", "https://h/a?a=1&b=2"),
    "its path": ("https://h/a", "https://h/b"),
    "its host": ("https://u:p@h/a", "https://u:p@i/a"),
    "its user": ("https://u:p@h/a", "https://v:p@h/a"),
    "a bucket's object": ("gs://b/a#1", "gs://b/a#2"),
    "a path": ("a?x=1", "a?x=2"),
}


@pytest.mark.parametrize(("one", "other"), ASKED.values(), ids=ASKED)
def test_a_fingerprint_tells_what_the_mask_hides(one, other):
    assert fingerprint(one, "run") != fingerprint(other, "run")
    assert fingerprint(one, "run") != fingerprint(one, "another run")
    assert fingerprint(one, "run") == fingerprint(one, "run")


@pytest.mark.parametrize(
    "url", ["https://h/a?id=1&{}={}", "https://h/a?{}={}&id=1", "https://h/a?{}={};id=1"]
)
@pytest.mark.parametrize("name", ["X-Amz-Signature", "X-Goog-Date", "Expires", "sig", "token"])
def test_a_url_that_is_signed_again_is_the_same(url, name):
    assert fingerprint(url.format(name, "1"), "") == fingerprint(url.format(name, "2"), "")


def test_a_password_that_changes_leaves_the_file_the_same():
    assert fingerprint("https://u:old@h/a", "") == fingerprint("https://u:new@h/a", "")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data.csv", "data.csv"),
        ("/a/b%20c.csv?token=x#y", "b c.csv"),
        ("/a/", "a"),
        ("", "127.0.0.1"),
    ],
)
def test_the_name_is_the_last_part_of_the_path(path, name):
    with (
        HttpServer(b"a") as server,
        open_source(f"http://127.0.0.1:{server.port}{path}") as source,
    ):
        assert source.name.partition(":")[0] == name
        assert not source.seekable()


# HTTP.

PLAIN_FAULTS = {
    "none": {},
    "drops": DROPS,
    "resets": {**DROPS, "reset": True},
    "drops before the first byte": {"drop_after": 0, "drops": 8},
    "drops, without ranges": {**DROPS, "ranges": False},
    "drops, only Last-Modified": {**DROPS, "etag": None},
    "drops, only an ETag": {**DROPS, "last_modified": None},
    "drops, weak ETag": {**DROPS, "etag": 'W/"1"'},
    "chunked": {"length": False},
    "chunked, drops": {**DROPS, "length": False},
    "chunked, drops, without ranges": {**DROPS, "length": False, "ranges": False},
    "busy": {"failures": [503, 429, 500]},
    "busy otherwise": {"failures": [502, 504, 408]},
    "Content-Encoding": {"content_encoding": "gzip"},
}


@pytest.mark.parametrize("faults", PLAIN_FAULTS.values(), ids=PLAIN_FAULTS.keys())
def test_every_byte_comes_through_whatever_happens(faults):
    with HttpServer(DATA, **faults) as server:
        assert bytes_of(server.url) == DATA


@settings(max_examples=25)
@given(
    st.binary(max_size=2000),
    st.integers(0, 2000),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)
def test_any_content_comes_through_any_drops(content, drop_after, drops, ranges, length):
    with HttpServer(
        content, drop_after=drop_after, drops=drops, ranges=ranges, length=length
    ) as server:
        assert bytes_of(server.url) == content


def test_what_an_http_source_tells():
    with HttpServer(DATA) as server, open_source(server.url) as source:
        assert source.size == len(DATA)
        assert source.identity == Identity(
            etag=server.current_etag(), last_modified=server.last_modified, size=len(DATA)
        )
        assert repr(source) == f"<Source {server.url}>"
        with pytest.raises(io.UnsupportedOperation):
            source.seek(0)


def test_it_resumes_by_range_from_the_last_byte_and_only_the_same_version():
    with HttpServer(DATA, **DROPS) as server:
        assert bytes_of(server.url) == DATA
        first, second, third = server.requests
    assert "range" not in first
    assert second["range"] == "bytes=1000000-"
    assert third["range"] == "bytes=2000000-"
    assert second["if-match"] == third["if-match"] == server.current_etag()
    assert first["accept-encoding"] == second["accept-encoding"] == "identity"


def test_a_server_killed_and_started_again_costs_no_byte(file):
    port = free_port()
    command = [
        sys.executable,
        str(Path(__file__).parents[1] / "support" / "http_server.py"),
        str(file),
        str(port),
    ]

    def start(*rate):
        process = subprocess.Popen([*command, *rate], stdout=subprocess.PIPE, text=True)
        return process, process.stdout.readline().strip()

    process, url = start("4000000")
    settings = SourceSettings(backoff_s=0.1, max_backoff_s=0.5, retries=60)
    with open_source(url, settings) as source:
        start_of_it = source.read(300_000)
        process.kill()
        process.communicate()
        restarted = []
        timer = threading.Timer(0.3, lambda: restarted.append(start()[0]))
        timer.start()
        try:
            assert start_of_it + source.read() == DATA
        finally:
            timer.join()
            restarted[0].kill()
            restarted[0].communicate()


def test_a_file_replaced_at_a_drop_is_an_error_and_never_a_mix():
    with HttpServer(DATA, **DROPS) as server, open_source(server.url, QUICK) as source:
        source.read(1000)
        server.content = DATA[::-1]
        with pytest.raises(SourceChanged):
            source.read()


CARELESS = {
    "another ETag": {"etag": '"2"'},
    "another time": {"last_modified": "Thu, 02 Jan 2020 10:00:00 GMT"},
    "another weak ETag": {"etag": 'W/"2"'},
    "no validators any more": {"etag": None, "last_modified": None},
    "longer": {"content": DATA + b"more"},
    "shorter": {"content": DATA[:900_000]},
}


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("change", CARELESS.values(), ids=CARELESS.keys())
def test_a_server_that_ignores_conditions_is_found_out(change, ranges):
    strong = change.get("etag") == '"2"'
    before = {"etag": '"1"' if strong else None, "preconditions": False, "ranges": ranges}
    with HttpServer(DATA, **DROPS, **before) as server, open_source(server.url, QUICK) as source:
        source.read(1000)
        for name, value in change.items():
            setattr(server, name, value)
        with pytest.raises(SourceChanged):
            source.read()


def test_mirrors_that_agree_on_the_etag_may_differ_on_the_time():
    with HttpServer(DATA, **DROPS) as server, open_source(server.url, QUICK) as source:
        start_of_it = source.read(1000)
        server.last_modified = "Thu, 02 Jan 2020 10:00:00 GMT"
        assert start_of_it + source.read() == DATA


def test_without_validators_a_drop_is_the_end():
    with HttpServer(DATA, **DROPS, etag=None, last_modified=None) as server:
        with pytest.raises(SourceUnreachable, match="no ETag or Last-Modified"):
            bytes_of(server.url)
        assert len(server.requests) == 1


# What does not show that a byte at an offset is still the same one.
WEAK = {
    "a weak ETag": {"etag": 'W/"1"', "last_modified": None},
    "a weak ETag, and a time without a date": {"etag": 'W/"1"', "date": None},
    "written in the second of the answer": {"etag": None, "date": LAST_MODIFIED},
    "written after the answer": {"etag": None, "date": "Wed, 01 Jan 2020 09:59:59 GMT"},
    "a date that is none": {"etag": None, "date": "now and then"},
    "a time that is none": {"etag": None, "last_modified": "lately"},
    "a time without a zone": {"etag": None, "last_modified": "1 Jan 2020 10:00:00 -0000"},
}


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("weak", WEAK.values(), ids=WEAK.keys())
def test_weak_validators_resume_nothing(weak, ranges):
    with HttpServer(DATA, **{**DROPS, "ranges": ranges, **weak}) as server:
        with pytest.raises(SourceUnreachable, match="that tells every byte"):
            bytes_of(server.url)
        assert len(server.requests) == 1


@pytest.mark.parametrize("weak", WEAK.values(), ids=WEAK.keys())
def test_weak_validators_are_enough_to_begin_again(weak):
    """Before the first byte, and to tell whether a source has changed."""
    with HttpServer(DATA, drop_after=0, drops=2, **weak) as server:
        with open_source(server.url, QUICK) as source:
            assert source.read() == DATA
        assert bytes_of(server.url, expected=source.identity) == DATA
        server.etag, server.last_modified = 'W/"2"', "Thu, 02 Jan 2020 10:00:00 GMT"
        with pytest.raises(SourceChanged):
            bytes_of(server.url, expected=source.identity)


@pytest.mark.parametrize("date", ["now", "Wed, 01 Jan 2020 10:00:01 GMT"])
def test_a_time_before_that_of_the_answer_resumes(date):
    with HttpServer(DATA, **DROPS, etag='W/"1"', date=date) as server:
        assert bytes_of(server.url) == DATA
        assert [request.get("if-unmodified-since") for request in server.requests] == [
            None,
            LAST_MODIFIED,
            LAST_MODIFIED,
        ]


# How a server may pack what it was asked not to pack.
PACKED = [
    "br",
    "deflate",
    "compress",
    "BR",
    "x-compress",
    "gzip, br",
    "gzip, gzip",
    "br, a\x1bb" * 9,
]


@pytest.mark.parametrize("coding", [*PACKED, ["gzip", "br"], ["identity", "deflate"]], ids=repr)
def test_an_unknown_content_encoding_is_an_error(coding):
    with HttpServer(DATA, content_encoding=coding) as server:
        with pytest.raises(SourceError, match="the server sends it packed as") as caught:
            bytes_of(server.url)
        assert len(server.requests) == 1
    assert type(caught.value) is SourceError
    assert len(caught.value.message) < 200
    assert "download it first" in caught.value.hint
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "coding",
    [
        *("gzip", "GZIP", "x-gzip", " gzip ", "zstd", "x-bzip2", "xz", "identity", "utf-8"),
        *("identity, gzip", ",", "aws-chunked", ["identity", "Gzip"]),
        *("iso-8859-1", "charset=utf-8", "text/csv", "zip", "7bit", "application/gzip", "a\x1bb"),
    ],
    ids=repr,
)
def test_other_content_encodings_are_as_sent(coding):
    with HttpServer(DATA, **DROPS, content_encoding=coding) as server:
        assert bytes_of(server.url) == DATA
        assert {request["accept-encoding"] for request in server.requests} == {"identity"}


@pytest.mark.parametrize("etag", ["auto", 'W/"1"', None])
@pytest.mark.parametrize("codings", [("gzip", None), (None, "gzip"), ("gzip", "zstd")])
@pytest.mark.parametrize("ranges", [True, False])
def test_another_content_encoding_is_another_source(etag, codings, ranges):
    """Its bytes are others, though some servers give both the same ETag."""
    first, second = codings
    faults = {**DROPS, "drops": 1, "etag": etag, "ranges": ranges, "preconditions": False}
    with (
        HttpServer(DATA, content_encoding=first, **faults) as server,
        open_source(server.url, QUICK) as source,
    ):
        source.read(1000)
        server.content_encoding = second
        with pytest.raises(SourceChanged):
            source.read()


def test_two_names_of_a_content_encoding_are_one():
    with (
        HttpServer(DATA, content_encoding="x-gzip", **DROPS) as server,
        open_source(server.url, QUICK) as source,
    ):
        start_of_it = source.read(1000)
        server.content_encoding = "GZIP"
        assert start_of_it + source.read() == DATA


ENDS = {
    "a length": ({}, True),
    "chunks": ({"length": False}, True),
    "neither": ({"framed": False}, False),
}


@pytest.mark.parametrize(("framing", "is_certain"), ENDS.values(), ids=ENDS)
def test_it_tells_whether_its_end_is_certain(framing, is_certain):
    with HttpServer(DATA, **framing) as server, open_source(server.url, QUICK) as source:
        assert source.end_is_certain is is_certain
        assert read_exactly(source, len(DATA)) == DATA


def test_what_a_source_is_opened_with_shows_no_secret():
    target = Target("https://u:hunter2@h/a.csv", "https://u:***@h/a.csv", (1, 1))
    assert "hunter2" not in repr(target)
    assert target.shown in repr(target)


@pytest.mark.parametrize("told", ["9" * 5000, "\u0663", "-5", "all", "", "1e3", "1_0"])
def test_a_range_that_is_none_is_refused(told):
    with HttpServer(DATA, **DROPS) as server, open_source(server.url, QUICK) as source:
        source.read(1000)
        server.told_range = f"bytes {told}-{len(DATA) - 1}/{len(DATA)}".encode().decode("latin-1")
        with pytest.raises(SourceError, match="the server sent others"):
            source.readall()


@pytest.mark.parametrize("length", [True, False], ids=["", "chunked"])
@pytest.mark.parametrize("part_bytes", [1_000_000, 2_000_000, len(DATA)])
def test_a_part_of_the_range_asked_for_is_not_taken_for_all_of_it(part_bytes, length):
    faults = DROPS | {"drops": 1, "part_bytes": part_bytes}
    with HttpServer(DATA, **faults, length=length) as server:
        assert bytes_of(server.url) == DATA


def test_a_rest_of_which_nobody_knows_the_length_is_refused():
    server = HttpServer(DATA, **DROPS | {"drops": 1}, length=False, tells_total=False)
    with server, pytest.raises(SourceError, match="does not tell how many there are") as caught:
        bytes_of(server.url)
    assert "download" in caught.value.hint


FORMS = ["chunked, chunked", "identity, chunked", "chunked;x=1", "xchunkedx", "gzip, chunked", "br"]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_is_not_undone_is_refused(form):
    """Python takes chunks apart under their very name only; their sizes would be loaded as rows."""
    server = HttpServer(DATA, length=False, transfer_encoding=form)
    with server, pytest.raises(SourceError, match="a form that is not known") as caught:
        bytes_of(server.url)
    assert not caught.value.retryable
    assert caught.value.hint


@pytest.mark.parametrize("form", ["chunked", "Chunked", "CHUNKED"])
def test_chunks_are_taken_apart_however_they_are_written(form):
    with HttpServer(DATA, length=False, transfer_encoding=form) as server:
        assert bytes_of(server.url) == DATA


def test_a_server_that_gives_next_to_nothing_of_a_range_is_given_up():
    stingy = HttpServer(DATA, **DROPS | {"drops": 1, "part_bytes": 10})
    with stingy as server, pytest.raises(SourceUnreachable, match="the answer ended early"):
        bytes_of(server.url)


def test_another_range_than_asked_for_is_refused():
    with HttpServer(DATA, **DROPS) as server, open_source(server.url, QUICK) as source:
        source.read(1000)
        server.range_shift = 1
        with pytest.raises(SourceError, match="the server sent others"):
            source.read()


def test_a_reopened_source_must_be_the_expected_one():
    with HttpServer(DATA) as server:
        with open_source(server.url) as source:
            expected = source.identity
        assert bytes_of(server.url, expected=expected) == DATA
        server.content = DATA[::-1]
        with pytest.raises(SourceChanged):
            open_source(server.url, expected=expected)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, SourceError),
        (401, SourceForbidden),
        (403, SourceForbidden),
        (404, SourceNotFound),
        (410, SourceNotFound),
        (416, SourceChanged),
        (418, SourceError),
        (501, SourceError),
    ],
)
def test_a_status_that_will_not_change_is_an_error_at_once(status, error):
    with HttpServer(DATA, failures=[status] * 9) as server:
        with pytest.raises(SourceError) as caught:
            open_source(server.url, QUICK)
        assert type(caught.value) is error
        assert len(server.requests) == 1


def test_an_empty_answer_is_no_file():
    with HttpServer(DATA, failures=[204]) as server, pytest.raises(SourceError, match="HTTP 204"):
        open_source(server.url, QUICK)


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nContent-Length: 7\r\n\r\n"
INFORMATIONAL = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "100 with a header": b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": HINTS,
    "103 without a reason": b"HTTP/1.1 103\r\n\r\n",
    "103 in chunks": b"HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "103 and the connection is to close": b"HTTP/1.1 103 x\r\nConnection: close\r\n\r\n",
    "an old 103": b"HTTP/1.0 103 Early Hints\r\n\r\n",
    "103 with LF only": b"HTTP/1.1 103 Early Hints\nLink: x\n\n",
    "103 with a validator": b'HTTP/1.1 103 Early Hints\r\nETag: "other"\r\n\r\n',
    "one that nobody knows": b"HTTP/1.1 199 What\r\n\r\n",
    "several": HINTS * 3 + b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + HINTS,
    "as many as are borne": HINTS * 999,
    "a long one": b"HTTP/1.1 103 Early Hints\r\n"
    + b"Link: <%b>\r\n" % (b"x" * 60_000) * 15
    + b"\r\n",
}


@pytest.mark.parametrize("guard", [None, Guard(("127.0.0.1",))], ids=["", "guarded"])
@pytest.mark.parametrize("length", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("informational", INFORMATIONAL.values(), ids=INFORMATIONAL)
def test_what_informs_before_the_answer_is_passed_over(guard, length, informational):
    told = SourceSettings(backoff_s=0.001, read_timeout_s=10, guard=guard)
    server = HttpServer(DATA, **DROPS, length=length, informational=informational)
    with server, open_source(server.url, told) as source:
        assert b"".join(iter(lambda: source.read(1 << 20), b"")) == DATA
        assert source.identity.etag == server.current_etag()
        assert len(server.requests) == 3


def test_what_informs_before_an_error_or_a_redirect_is_passed_over_too():
    with HttpServer(DATA, informational=HINTS) as server:
        server.redirects = {"/old.csv": "/data.csv"}
        server.failures = [404]
        with pytest.raises(SourceNotFound):
            open_source(server.url, QUICK)
        assert bytes_of(server.url.replace("data", "old")) == DATA


ENDLESS = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
    "103": HINTS * 1001,
    "both": (b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS) * 501,
    "long ones": (b"HTTP/1.1 103 x\r\n" + b"Link: <%b>\r\n" % (b"x" * 60_000) * 10 + b"\r\n") * 3,
    "an answer": b"HTTP/1.1 200 OK\r\n" + b"Link: <%b>\r\n" % (b"x" * 60_000) * 90,
}


@pytest.mark.parametrize("guard", [None, Guard(("127.0.0.1",))], ids=["", "guarded"])
@pytest.mark.parametrize("informational", ENDLESS.values(), ids=ENDLESS)
def test_headers_have_an_end(guard, informational):
    with HttpServer(DATA, informational=informational) as server:
        with pytest.raises(SourceError, match="headers without end, and no answer") as caught:
            open_source(server.url, SourceSettings(backoff_s=0.001, read_timeout_s=10, guard=guard))
        assert not caught.value.retryable
        assert len(server.requests) == 1


def test_another_protocol_is_no_answer():
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
    with HttpServer(DATA, informational=switching) as server:
        with pytest.raises(SourceError, match="unexpected answer HTTP 101"):
            open_source(server.url, QUICK)
        server.informational = HINTS + switching
        with pytest.raises(SourceError, match="unexpected answer HTTP 101"):
            open_source(server.url, QUICK)


@pytest.mark.parametrize("rest", [b"", b"HTTP/1.1 103 x", b"HTTP/1.1 200 OK\r\nETag"])
def test_a_connection_that_ends_after_what_informs_is_taken_up_again(rest):
    answers = [HINTS + rest, HINTS + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\n1\n"]
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        for head in answers:
            connection = listener.accept()[0]
            with connection:
                connection.recv(65536)
                connection.sendall(head)

    with closing(listener):
        threading.Thread(target=answer, daemon=True).start()
        assert bytes_of(f"http://127.0.0.1:{listener.getsockname()[1]}/a.csv") == b"a\n1\n"


# Patience has an end.


@pytest.mark.parametrize(
    "faults",
    [
        {"failures": [503] * 100},
        {"drop_after": 0, "drops": 100},
        {"drop_after": 400_000, "drops": 100, "ranges": False},
        {"drop_after": 10_000, "drops": 100},
    ],
    ids=["busy", "nothing", "always the same", "too little"],
)
def test_without_progress_it_gives_up(faults):
    with HttpServer(DATA, **faults) as server:
        with pytest.raises(SourceUnreachable, match="tried 4 times"):
            bytes_of(server.url, SourceSettings(retries=3, backoff_s=0.001))
        assert len(server.requests) == 4


def test_with_progress_it_goes_on_for_longer_than_the_retries():
    with HttpServer(DATA * 3, drop_after=1_100_000, drops=100) as server:
        assert bytes_of(server.url, SourceSettings(retries=1, backoff_s=0.001)) == DATA * 3
        assert len(server.requests) > 5


def test_it_waits_as_long_as_the_server_asks_but_not_longer_than_allowed():
    settings = SourceSettings(backoff_s=0.001, max_backoff_s=0.3)
    with HttpServer(b"a", failures=[503], retry_after="3600") as server:
        started = time.monotonic()
        assert bytes_of(server.url, settings) == b"a"
        assert 0.3 <= time.monotonic() - started < 60


@pytest.mark.parametrize("status", [429, 503])
def test_a_source_that_never_answered_is_given_up_sooner(status):
    with HttpServer(DATA, failures=[status] * 9) as server:
        with pytest.raises(SourceUnreachable, match="tried 4 times"):
            open_source(server.url, QUICK)
        assert len(server.requests) == 4


def test_before_the_first_answer_all_waits_together_have_an_end():
    settings = SourceSettings(backoff_s=0.001, opening_wait_s=0.3)
    with HttpServer(DATA, failures=[503] * 9, retry_after="3600") as server:
        started = time.monotonic()
        with pytest.raises(SourceUnreachable, match="tried 2 times"):
            open_source(server.url, settings)
        assert 0.3 <= time.monotonic() - started < 10


@pytest.mark.parametrize(("failures", "is_borne"), [(7, True), (8, False)])
def test_a_download_that_broke_off_is_tried_eight_times_more(failures, is_borne):
    with (
        HttpServer(DATA, drop_after=1_000_000, drops=1) as server,
        open_source(server.url, QUICK) as source,
    ):
        start_of_it = source.read(1000)
        server.failures = [503] * failures  # beside the drop itself
        if is_borne:
            assert start_of_it + source.read() == DATA
        else:
            with pytest.raises(SourceUnreachable, match="tried 9 times"):
                source.read()


def test_a_source_that_answered_before_is_tried_as_often():
    with HttpServer(DATA) as server:
        with open_source(server.url) as source:
            expected = source.identity
        server.failures = [503] * 8
        assert bytes_of(server.url, expected=expected) == DATA


def test_a_port_where_nobody_listens_is_told_soon():
    started = time.monotonic()
    with pytest.raises(SourceUnreachable, match=r"refused \(tried 4 times\)") as caught:
        open_source(f"http://127.0.0.1:{free_port()}/")
    # The waits are 3.5 s at most; those of a download would be 26 s at least.
    assert time.monotonic() - started < 15
    assert caught.value.hint


def test_a_name_that_does_not_resolve_fails_soon():
    started = time.monotonic()
    with pytest.raises(SourceUnreachable, match=r"does not resolve \(tried 3 times\)") as caught:
        open_source("http://nothing.invalid/a.csv", SourceSettings(retries=1000, backoff_s=0.01))
    assert "host name" in caught.value.hint
    assert time.monotonic() - started < 60


def test_a_server_that_says_nothing_times_out_once():
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(SourceUnreachable, match=r"timed out \(tried once\)") as caught:
            open_source(url, SourceSettings(read_timeout_s=0.1))
    assert caught.value.hint


def test_a_host_that_takes_no_connection_times_out_once():
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full, ExitStack() as stack:
        for _ in range(4):  # more than its queue holds: it answers no more
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        with pytest.raises(SourceUnreachable, match=r"timed out \(tried once\)"):
            open_source(url, SourceSettings(connect_timeout_s=0.1))


def test_a_download_that_stalls_is_taken_up_again():
    with HttpServer(DATA, bytes_per_s=5_000) as server:  # a piece, then nothing for 3 s
        settings = SourceSettings(read_timeout_s=0.5, backoff_s=0.001)
        with open_source(server.url, settings) as source:
            start_of_it = source.read(1000)
            recovery = threading.Timer(1, setattr, (server, "bytes_per_s", None))
            recovery.start()
            assert start_of_it + source.read() == DATA
            recovery.join()
        assert len(server.requests) > 1


def test_tls_that_does_not_come_about_has_a_hint():
    with (
        HttpServer(DATA) as server,
        pytest.raises(SourceUnreachable, match="no TLS connection") as caught,
    ):
        open_source(server.url.replace("http://", "https://"), QUICK)
    assert "certificate" in caught.value.hint


# Credentials and redirects.


def test_user_and_password_of_the_url_are_sent():
    with HttpServer(DATA, credentials=("user", "p@ss/word")) as server:
        url = server.url.replace("http://", "http://user:p%40ss%2Fword@")
        assert bytes_of(url) == DATA
        with pytest.raises(SourceForbidden):
            open_source(server.url)


def test_a_redirect_is_followed_and_the_password_stays_behind():
    with HttpServer(DATA, **DROPS) as there, HttpServer(b"") as here:
        here.redirects["/data.csv"] = there.url.replace("127.0.0.1", "localhost")
        assert bytes_of(here.url.replace("http://", "http://user:hunter2@")) == DATA
        assert all("authorization" in request for request in here.requests)
        assert not any("authorization" in request for request in there.requests)
        assert len(there.requests) == 3


@pytest.mark.parametrize("target", ["/data.csv", "ftp://127.0.0.1/a.csv", "http://[::1"])
def test_a_redirect_to_nowhere_is_an_error(target):
    with HttpServer(DATA, redirects={"/data.csv": target}) as server, pytest.raises(SourceError):
        open_source(server.url, QUICK)


@pytest.mark.parametrize("status", [None, 400, 403, 404, 503])
def test_no_error_shows_a_secret(status, caplog):
    caplog.set_level("INFO")
    settings = SourceSettings(retries=1, backoff_s=0.001)
    secret = uuid.uuid4().hex
    with HttpServer(DATA, failures=[status] * 9) as server:
        port = free_port() if status is None else server.port
        with pytest.raises(SourceError) as caught:
            open_source(f"http://user:{secret}@127.0.0.1:{port}/?token={secret}", settings)
    shown = "".join(traceback.format_exception(caught.value))
    assert "token=***" in shown
    assert secret not in shown + repr(caught.value) + caplog.text


# Errors of other packages


def exceptions_of(*modules):
    kinds = {
        f"{name}.{kind.__name__}": kind
        for name in modules
        for kind in vars(importlib.import_module(name)).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception
    }
    foreign = {
        name: kind
        for name, kind in kinds.items()
        if not issubclass(kind, Warning)
        and not kind.__name__.startswith("_")
        and kind.__module__ != "google.resumable_media.common"  # of releases before 3.0
    }
    return pytest.mark.parametrize("kind", foreign.values(), ids=foreign.keys())


@exceptions_of("requests.exceptions", "urllib3.exceptions", "http.client", "ssl", "socket")
def test_every_exception_of_http_becomes_ours(kind):
    with pytest.raises(SourceError) as caught, ours("shown", network_errors()):
        raise kind.__new__(kind)
    assert str(caught.value).startswith("shown")


@exceptions_of(
    "google.api_core.exceptions", "google.auth.exceptions", "google.cloud.storage.exceptions"
)
def test_every_exception_of_google_becomes_ours(kind):
    with pytest.raises(SourceError) as caught, ours("shown", gcs.foreign_errors()):
        raise kind.__new__(kind)
    assert str(caught.value).startswith("shown")


@pytest.mark.parametrize(
    ("kind", "retried"),
    [
        (http.client.IncompleteRead, True),
        (ConnectionResetError, True),
        (ssl.SSLEOFError, True),
        (ssl.SSLCertVerificationError, False),
        (UnicodeError, False),
    ],
)
def test_the_type_decides_whether_it_is_tried_again(kind, retried):
    with pytest.raises(SourceError) as caught, ours("shown", network_errors()):
        raise kind.__new__(kind)
    assert isinstance(caught.value, Passing) is retried


def run_python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    ).stdout


def test_a_local_file_costs_no_import_of_the_network(file):
    code = """
import sys
from loader.source.stream import open_source
open_source(sys.argv[1]).read()
print(sorted({"smart_open", "requests", "urllib3", "google.auth"} & set(sys.modules)))
"""
    assert run_python(code, str(file)) == "[]\n"


# Google Cloud Storage.

BLOB = os.urandom(10 * 1024 * 1024)  # three chunks


class Proxy:
    """Passes TCP on to a port, and cuts the connections that answer at length, if told to."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut_after = 2_000_000
        self.cuts = 0
        self.made = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._upstream)) as server:
            asking = threading.Thread(target=self._pass, args=(client, server), daemon=True)
            asking.start()
            self._pass(server, client, answers=True)
            asking.join()

    def _pass(self, receiver: socket.socket, sender: socket.socket, answers: bool = False) -> None:
        passed = 0
        with suppress(OSError):  # the other direction ended first
            while data := receiver.recv(65536):
                sender.sendall(data)
                passed += len(data)
                if answers and self.cuts > self.made and passed > self.cut_after:
                    self.made += 1
                    receiver.shutdown(socket.SHUT_RDWR)
                    break
        for end in (sender, receiver):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def proxy(emulator, monkeypatch):
    proxy = Proxy(emulator)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{proxy.port}")
    yield proxy
    proxy.close()


@pytest.fixture
def blob(proxy):
    client = storage.Client.create_anonymous_client()
    blob = client.bucket("bucket").blob(f"folder/{uuid.uuid4().hex}/a file.csv")
    blob.upload_from_string(BLOB)
    yield blob
    client.close()


def uri_of(blob):
    return f"gs://{blob.bucket.name}/{blob.name}"


def replace(blob, content):
    # By a new object: the old one remembers the checksum of what it uploaded first.
    blob.bucket.blob(blob.name).upload_from_string(content)


def test_an_object_is_read_whole(blob):
    assert bytes_of(uri_of(blob)) == BLOB


def test_what_an_object_tells(blob):
    with open_source(uri_of(blob)) as source:
        assert (source.name, source.size) == ("a file.csv", len(BLOB))
        assert source.identity == Identity(generation=blob.generation, size=len(BLOB))
        assert not source.seekable()


def test_an_empty_object_is_empty(blob):
    replace(blob, b"")
    assert bytes_of(uri_of(blob)) == b""


def test_a_dropped_connection_to_the_bucket_is_taken_up_again(blob, proxy):
    proxy.cuts = 3
    assert bytes_of(uri_of(blob)) == BLOB
    assert proxy.made == 3


def test_a_bucket_that_always_drops_is_given_up(blob, proxy):
    proxy.cuts = 100
    with pytest.raises(SourceUnreachable, match="tried 3 times"):
        bytes_of(uri_of(blob), SourceSettings(retries=2, backoff_s=0.001))
    assert proxy.made == 3


@pytest.mark.parametrize("content", [BLOB[::-1], BLOB[:5000], BLOB + b"more"])
def test_an_object_replaced_while_it_is_read_is_an_error(blob, content):
    with open_source(uri_of(blob), QUICK) as source:
        source.read(1000)
        replace(blob, content)
        with pytest.raises(SourceChanged):
            source.read()


def test_an_object_replaced_at_a_drop_is_an_error(blob, proxy):
    with open_source(uri_of(blob), QUICK) as source:
        source.read(1000)
        replace(blob, BLOB[::-1])
        proxy.cuts = 1
        with pytest.raises(SourceChanged):
            source.read()
        assert source.bytes_read < len(BLOB)


def test_an_object_deleted_while_it_is_read_is_an_error(blob):
    with open_source(uri_of(blob), QUICK) as source:
        source.read(1000)
        blob.delete()
        with pytest.raises(SourceChanged):
            source.read()


def test_another_object_than_the_expected_one_is_an_error(blob):
    with open_source(uri_of(blob)) as source:
        expected = source.identity
    replace(blob, BLOB)
    with pytest.raises(SourceChanged):
        open_source(uri_of(blob), expected=expected)


@pytest.mark.parametrize("uri", ["gs://bucket/nothing.csv", "gs://no-such-bucket/a.csv"])
def test_a_missing_object_is_not_found(proxy, uri):
    with pytest.raises(SourceNotFound):
        open_source(uri, QUICK)


@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [
        (400, SourceError, 1),
        (401, SourceForbidden, 1),
        (403, SourceForbidden, 1),
        (429, SourceUnreachable, 3),
        (503, SourceUnreachable, 3),
    ],
)
def test_statuses_of_the_bucket(status, error, requests, monkeypatch):
    with HttpServer(b"", failures=[status] * 9) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.port}")
        with pytest.raises(SourceError) as caught:
            open_source("gs://bucket/a.csv", SourceSettings(retries=2, backoff_s=0.001))
        assert type(caught.value) is error
        # The client looks at the bucket too, for itself.
        assert len([True for seen in server.requests if "/o/" in seen[":path"]]) == requests


def test_without_googles_client_it_says_what_to_install():
    code = """
import sys
sys.modules["google.cloud.storage"] = None
from loader.errors import UsageError
from loader.source.stream import open_source
try:
    open_source("gs://bucket/a.csv")
except UsageError as error:
    print(error.hint)
"""
    assert run_python(code) == "pip install 'aircan[gcs]'\n"
