"""Artifacts, the same on a local folder and on a bucket: Google's client, before its emulator."""

import csv
import gc
import gzip
import io
import os
import re
import resource
import subprocess
import sys
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from google.cloud import storage
from hypothesis import given
from hypothesis import strategies as st
from test_source import Proxy

from loader.errors import ArtifactsError, ArtifactsUnreachable, UsageError
from loader.factory import artifact_schemas, stores
from loader.factory import artifacts as module
from loader.factory.artifacts import Artifacts

RUN = "manual__2026-01-02T03:04:05+00:00"
BIG = os.urandom(20 * 1024 * 1024)  # three chunks of an upload


@pytest.fixture
def proxy(emulator, monkeypatch):
    proxy = Proxy(emulator)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{proxy.port}")
    yield proxy
    proxy.close()


@pytest.fixture
def bucket(proxy):
    return f"gs://bucket/{uuid.uuid4().hex}/some prefix"


@pytest.fixture(params=["folder", "bucket"])
def base(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "some prefix")
    return request.getfixturevalue("bucket")


@pytest.fixture
def artifacts(base):
    return Artifacts(base)


@pytest.fixture
def place(artifacts):
    return artifacts.place("aircan_load", RUN, "prepare")


def leave(artifacts, *parts, size=1):
    *place, name = parts
    with artifacts.place(*place).opened(name, "wb") as stream:
        stream.write(b"x" * size)


def left(artifacts):
    return sorted("/".join(file.parts) for file in artifacts.files())


# One place.

VALUES = {
    "an object": {"name": "a", "schema": {"fields": [{"name": "b", "type": "integer"}]}},
    "nothing": None,
    "text of the world": ["Zürich", "東京", "🚲"],
    "half a surrogate pair": ["\udc80"],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_is_written_is_read(place, value):
    place.write("resource.json", value)
    assert place.read("resource.json") == value
    place.write("resource.json.gz", value)
    assert place.read("resource.json.gz") == value


def test_json_is_for_people_too(place):
    place.write("report.json", {"title": "Zürich"})
    with place.opened("report.json") as stream:
        assert stream.read() == '{\n  "title": "Zürich"\n}\n'.encode()


def test_it_lies_where_airflow_would_look_for_it(tmp_path):
    place = Artifacts(str(tmp_path)).place("aircan_reload", RUN, "resource.prepare", "12")
    place.write("resource.json", {})
    assert place.uri == f"{tmp_path}/aircan_reload/{RUN}/resource.prepare/12"
    assert (tmp_path / "aircan_reload" / RUN / "resource.prepare/12/resource.json").is_file()


def test_it_lies_in_the_bucket_where_its_uri_says(bucket):
    place = Artifacts(bucket + "/").place("aircan_load", RUN, "prepare")
    place.write("resource.json", {})
    assert place.uri == f"{bucket}/aircan_load/{RUN}/prepare"
    client = storage.Client.create_anonymous_client()
    key = place.uri.removeprefix("gs://bucket/")
    assert client.bucket("bucket").blob(f"{key}/resource.json").exists()


def test_a_bucket_needs_no_prefix(proxy):
    artifacts = Artifacts("gs://bucket")
    dag_id = uuid.uuid4().hex
    leave(artifacts, dag_id, "r", "t", "a")
    assert [file.parts for file in artifacts.files([dag_id])] == [(dag_id, "r", "t", "a")]


def test_it_is_told_when_a_file_was_written(place):
    assert place.written("report.json") is None
    place.write("report.json", 1)
    first = place.written("report.json")
    assert abs(datetime.now(timezone.utc) - first) < timedelta(minutes=1)
    time.sleep(0.05)
    place.write("error.json", 1)
    assert place.written("error.json") > first
    assert place.written("report") is None


@pytest.mark.parametrize("value", [None, [], "x", 1, [{"a": 1}]])
def test_what_is_of_another_shape_is_damaged(place, value):
    place.write("report.json", value)
    with pytest.raises(ArtifactsError, match="is damaged: it is no JSON object") as damaged:
        place.read_as("report.json", artifact_schemas.OBJECT)
    assert damaged.value.hint == "clear the task prepare: it writes it anew"
    with pytest.raises(ArtifactsError) as damaged:
        place.read_as("report.json", artifact_schemas.OBJECT, "look elsewhere")
    assert damaged.value.hint == "look elsewhere"


def test_what_is_written_again_replaces_what_was(place):
    place.write("resource.json", {"long": "x" * 1000})
    place.write("resource.json", 1)
    assert place.read("resource.json") == 1


def test_it_tells_what_is_there(place):
    assert not place.exists("rejects.csv")
    place.write("rejects.csv", 1)
    assert place.exists("rejects.csv")
    assert not place.exists("rejects")


def test_a_file_that_is_not_there_is_an_error_that_names_the_task(place):
    for name in ("resource.json", "rows.ndjson.gz"):
        with pytest.raises(ArtifactsError) as caught:
            place.read(name)
        assert str(caught.value) == f"{place.uri}/{name} is not there"
        assert caught.value.hint == "clear the task prepare: it leaves it there"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b'{"a": 1} x'])
def test_damaged_json_is_an_error(place, content):
    with place.opened("resource.json", "wb") as stream:
        stream.write(content)
    with pytest.raises(
        ArtifactsError, match=r"resource\.json is damaged: it is not JSON"
    ) as caught:
        place.read("resource.json")
    assert caught.value.hint == "clear the task prepare: it writes it anew"


def test_what_is_no_json_is_not_written(place):
    with pytest.raises(TypeError):
        place.write("resource.json", {"a": object()})
    assert not place.exists("resource.json")


# Streams.


def test_a_stream_of_many_chunks_comes_back(place):
    with place.opened("rows.ndjson", "wb") as stream:
        for start in range(0, len(BIG), 1_000_000):
            assert stream.write(BIG[start : start + 1_000_000]) == len(
                BIG[start : start + 1_000_000]
            )
    with place.opened("rows.ndjson") as stream:
        assert stream.read() == BIG


def test_an_empty_file_comes_back(place):
    for name in ("a", "a.gz"):
        with place.opened(name, "wb"):
            pass
        with place.opened(name) as stream:
            assert stream.read() == b""


def test_lines_are_packed_and_come_back(place, tmp_path):
    lines = [b'{"_id": %d}\n' % number for number in range(100_000)]
    with place.opened("rows.ndjson.gz", "wb") as stream:
        stream.writelines(lines)
    with place.opened("rows.ndjson.gz") as stream:
        assert list(stream) == lines
    raw = raw_of(place, "rows.ndjson.gz")
    assert len(raw) < 1_000_000
    assert gzip.decompress(raw) == b"".join(lines)


def raw_of(place, name):
    """Return the bytes as they lie there; the emulator's own links do not know a % in a name."""
    if not place.uri.startswith("gs://"):
        return Path(place.uri, name).read_bytes()
    client = storage.Client.create_anonymous_client()
    key = place.uri.removeprefix("gs://bucket/")
    return client.bucket("bucket").blob(f"{key}/{name}").download_as_bytes()


def test_text_can_be_wrapped_around_a_stream(place):
    with (
        place.opened("errors.csv", "wb") as stream,
        io.TextIOWrapper(stream, encoding="utf-8", newline="") as text,
    ):
        csv.writer(text).writerow(["é", "a,b"])
    with place.opened("errors.csv") as stream, io.TextIOWrapper(stream, encoding="utf-8") as text:
        assert list(csv.reader(text)) == [["é", "a,b"]]


def fail_after(place, name, size, error=RuntimeError):
    with place.opened(name, "wb") as stream:
        stream.write(BIG[:size])
        raise error("mine")


@pytest.mark.parametrize("size", [100, len(BIG)])
@pytest.mark.parametrize("name", ["rows.ndjson", "rows.ndjson.gz"])
def test_a_block_that_fails_leaves_nothing(artifacts, place, name, size):
    with pytest.raises(RuntimeError, match="mine"):
        fail_after(place, name, size)
    gc.collect()
    assert left(artifacts) == []


@pytest.mark.parametrize("error", [ConnectionError, ValueError, KeyboardInterrupt])
def test_an_error_of_the_block_stays_what_it_is(artifacts, place, error):
    with pytest.raises(error, match="mine"):
        fail_after(place, "a", 100, error)
    assert left(artifacts) == []


def test_a_block_that_fails_leaves_what_was_there_before(place):
    place.write("report.json", 1)
    with pytest.raises(RuntimeError):
        fail_after(place, "report.json", 100)
    assert place.read("report.json") == 1


def test_an_error_of_the_reading_block_stays_what_it_is(place):
    place.write("report.json", 1)
    with pytest.raises(ConnectionError), place.opened("report.json"):
        raise ConnectionError


def test_nothing_is_written_after_the_block(place):
    with place.opened("a", "wb") as stream:
        pass
    with pytest.raises(ValueError, match="closed"):
        stream.write(b"x")


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-20], lambda b: b[:30] + b"?" * 20, lambda b: b"a"]
)
def test_damaged_packed_data_is_an_error(place, tmp_path, damage):
    packed = tmp_path / "packed"
    packed.write_bytes(damage(gzip.compress(BIG[:100_000])))
    place.put("rows.ndjson.gz", packed)
    with (
        place.opened("rows.ndjson.gz") as stream,
        pytest.raises(ArtifactsError, match=r"rows\.ndjson\.gz is damaged: it cannot be unpacked"),
    ):
        stream.read()


def test_a_file_is_put_there_as_it_is(place, tmp_path):
    path = tmp_path / "rejects.csv"
    path.write_bytes(BIG)
    os.utime(path, (0, 0))
    uri = place.put("rejects of 1.csv.gz", path)
    assert uri == f"{place.uri}/rejects%20of%201.csv.gz"
    assert raw_of(place, "rejects%20of%201.csv.gz") == BIG


def test_a_file_that_is_put_counts_as_new(artifacts, place, tmp_path):
    path = tmp_path / "rejects.csv"
    path.write_bytes(b"x")
    os.utime(path, (0, 0))
    place.put("rejects.csv", path)
    assert datetime.now(timezone.utc) - next(artifacts.runs()).newest < timedelta(minutes=1)


def test_a_file_that_is_not_there_cannot_be_put(artifacts, place, tmp_path):
    with pytest.raises(ArtifactsError, match="nothing: No such file"):
        place.put("rejects.csv", tmp_path / "nothing")
    assert left(artifacts) == []


# Names.

BASES = {
    "nothing": "",
    "a relative path": "artifacts",
    "the home": "~/artifacts",
    "another kind of bucket": "s3://bucket/a",
    "a web server": "https://user:secret@example.org/a",
    "no bucket": "gs://",
    "no name of a bucket": "gs://B/a",
    "a signed URL": "gs://bucket/a?X-Goog-Signature=secret",
    "a gap": "gs://bucket/a//b",
    "another place": "gs://bucket/a/../b",
    "another host": "file://host/a",
    "lines": "/a\nb",
    "a NUL": "file:///a%00b",
}


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_what_cannot_be_a_base_is_refused(base):
    with pytest.raises(UsageError, match="artifacts cannot be kept at") as caught:
        Artifacts(base)
    assert "secret" not in str(caught.value)


def test_a_file_url_is_a_local_folder(tmp_path):
    folder = tmp_path / "50% a"
    for base in (folder.as_uri(), folder.as_uri().replace("file://", "file://localhost")):
        assert Artifacts(base).place("d", "r", "t").uri == f"{folder}/d/r/t"


@pytest.mark.parametrize("parts", [(), ("d",), ("d", "r")])
def test_a_place_is_that_of_a_task(artifacts, parts):
    with pytest.raises(UsageError, match="names no task of a run"):
        artifacts.place(*parts)


def test_an_empty_name_is_refused(artifacts, place):
    with pytest.raises(UsageError):
        artifacts.place("d", "", "t")
    with pytest.raises(UsageError):
        place.exists("")


NAMES = [
    "..",
    ".",
    "a/../../b",
    "/etc/passwd",
    "a\\b",
    "a\nb",
    "\x00",
    "%2e%2e",
    "%",
    "é 東京 ",
    "a?b#c",
]
NAMES += ["-rf", "~", "*", "[a]", ".hidden", RUN]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leads_out_of_its_place(artifacts, name):
    place = artifacts.place(name, name, name)
    place.write(name, 1)
    assert raw_of(place, module._encode(name)) == b"1\n"
    assert [file.parts for file in artifacts.files()] == [(name, name, name, name)]
    artifacts.place("..", "..", "..").clear()
    assert place.exists(name) == (name != "..")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_name_is_one_segment_of_its_own(name):
    segment = module._encode(name)
    assert module.unquote(segment) == name
    assert module._is_encoded(segment)
    assert segment not in (".", "..")
    assert re.fullmatch("[A-Za-z0-9_.~:+=@,%-]+", segment)


def test_run_ids_stay_readable():
    assert module._encode(RUN) == RUN


# All runs.


def test_runs_tell_what_they_left(artifacts):
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    leave(artifacts, "aircan_load", RUN, "prepare", "resource.json", size=10)
    leave(artifacts, "aircan_load", RUN, "report", "0", "report.json", size=5)
    leave(artifacts, "aircan_load", "other", "prepare", "resource.json", size=3)
    leave(artifacts, "aircan_reload", RUN, "resource.prepare", "0", "resource.json", size=2)
    found = sorted(artifacts.runs(), key=lambda run: -run.bytes)
    assert [(run.dag_id, run.run_id, run.bytes, run.files) for run in found] == [
        ("aircan_load", RUN, 15, 2),
        ("aircan_load", "other", 3, 1),
        ("aircan_reload", RUN, 2, 1),
    ]
    assert all(before <= run.newest <= datetime.now(timezone.utc) for run in found)


def test_runs_of_some_dags_only(artifacts):
    for dag_id in ("aircan_load", "aircan_load2", "aircan", "b"):
        leave(artifacts, dag_id, RUN, "prepare", "resource.json")
    asked = ["b", "aircan_load", "b", "none"]
    assert [run.dag_id for run in artifacts.runs(asked)] == ["b", "aircan_load"]


def test_where_nothing_was_left_there_are_no_runs(artifacts):
    assert list(artifacts.runs()) == []
    assert list(artifacts.runs(["aircan_load"])) == []


def strange(base, key):
    """Leave a file that no step of a DagRun made."""
    if base.startswith("gs://"):
        client = storage.Client.create_anonymous_client()
        client.bucket("bucket").blob(
            f"{base.removeprefix('gs://bucket/')}/{key}"
        ).upload_from_string("")
    else:
        path = Path(base, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize("key", ["a", "d/a", "d/b c/d/a", "d/100%/d/a", "d/%41/d/a", "d/%2f/d/a"])
def test_what_no_step_left_is_no_run(base, artifacts, key):
    strange(base, key)
    assert list(artifacts.runs()) == []
    assert list(artifacts.runs(["d", "a"])) == []


def test_a_run_is_deleted_whole_and_no_other(artifacts):
    leave(artifacts, "d", "r", "prepare", "a")
    leave(artifacts, "d", "r", "resource.prepare", "0", "a")
    leave(artifacts, "d", "r2", "prepare", "a")
    leave(artifacts, "d2", "r", "prepare", "a")
    run = next(run for run in artifacts.runs(["d"]) if run.run_id == "r")
    artifacts.delete(run)
    assert left(artifacts) == ["d/r2/prepare/a", "d2/r/prepare/a"]
    artifacts.delete(run)  # somebody else did


def test_a_place_is_cleared_and_no_other(artifacts):
    for index in ("1", "12"):
        leave(artifacts, "d", "r", "t", index, "a")
        leave(artifacts, "d", "r", "t", index, "b.gz")
    place = artifacts.place("d", "r", "t", "1")
    place.clear()
    assert left(artifacts) == ["d/r/t/12/a", "d/r/t/12/b.gz"]
    place.clear()
    artifacts.place("d", "r", "t").clear()
    assert left(artifacts) == []


# The local folder.


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "base"


def test_a_link_is_removed_and_not_what_it_leads_to(folder, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    artifacts = Artifacts(str(folder))
    leave(artifacts, "d", "r", "t", "a")
    (folder / "d/r/t/link").symlink_to(kept)
    (folder / "d/r/t2").symlink_to(kept)
    (folder / "d/r2").symlink_to(kept)
    assert left(artifacts) == ["d/r/t/a"]
    artifacts.place("d", "r", "t2").clear()
    artifacts.delete(next(artifacts.runs()))
    assert [path.name for path in (folder / "d").iterdir()] == ["r2"]
    assert (kept / "file").exists()


def test_what_a_killed_process_left_goes_with_the_run(folder):
    artifacts = Artifacts(str(folder))
    code = """
import os, signal, sys
from loader.factory.artifacts import Artifacts
with Artifacts(sys.argv[1]).place("d", "r", "t").opened("a", "wb") as stream:
    stream.write(b"x" * 100_000)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code, folder]).returncode < 0
    place = artifacts.place("d", "r", "t")
    assert not place.exists("a")
    assert [run.files for run in artifacts.runs()] == [1]
    place.clear()
    assert list(artifacts.runs()) == []


@pytest.mark.parametrize("name", ["rows.ndjson", "rows.ndjson.gz"])
def test_a_full_disk_is_an_error_and_leaves_nothing(folder, name):
    place = Artifacts(str(folder)).place("d", "r", "t")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with (
            pytest.raises(ArtifactsError, match=f"{place.uri}/{name}: File too large") as caught,
            place.opened(name, "wb") as stream,
        ):
            stream.write(BIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not caught.value.retryable
    assert list(Path(place.uri).iterdir()) == []


def test_a_base_that_is_a_file_is_an_error(folder):
    folder.touch()
    artifacts = Artifacts(str(folder))
    place = artifacts.place("d", "r", "t")
    with pytest.raises(ArtifactsError, match=r"base/d/r/t/a: (Not a directory|File exists)"):
        place.write("a", 1)
    with pytest.raises(ArtifactsError, match="base/d/r/t/a: Not a directory"):
        place.read("a")


@pytest.fixture
def others_folder(servers):
    """A folder that everybody may enter, as those of pytest are not."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = servers / uuid.uuid4().hex
    folder.mkdir(mode=0o755)
    return folder


def test_a_folder_of_somebody_else_is_an_error(others_folder):
    place = Artifacts(str(others_folder)).place("d", "r", "t")
    place.write("a", 1)
    Path(place.uri, "a").chmod(0o600)
    os.seteuid(12345)
    try:
        for attempt in (lambda: place.read("a"), lambda: place.write("b", 1), place.clear):
            with pytest.raises(ArtifactsError, match="permission denied") as caught:
                attempt()
            assert caught.value.hint == "Airflow's workers have to read and write there"
    finally:
        os.seteuid(0)


# The bucket.


def test_cut_connections_are_taken_up_again(bucket, proxy):
    place = Artifacts(bucket).place("d", "r", "t")
    with place.opened("a", "wb") as stream:
        stream.write(BIG)
    proxy.cuts = 2
    with place.opened("a") as stream:
        assert stream.read() == BIG
    assert proxy.made == 2


class Google:
    """What stands in the bucket's place, and answers each method with a status; 0 hangs up."""

    def __init__(self, **statuses: int) -> None:
        self.statuses = statuses
        self.seen: list[tuple[str, str]] = []  # methods, and the parts of a file that came
        handler = type("Handler", (_Handler,), {"google": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    google: Google

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self) -> None:
        came = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command != "GET":  # the client looks at the bucket too, for itself
            self.google.seen.append((self.command, self.headers.get("Content-Range", "")))
        status = self.google.statuses.get(self.command, 200)
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        if self.command == "POST":  # where to send the file to
            self.send_header("Location", f"{self.google.url}/upload?upload_id=secret")
        self.send_header("Range", f"bytes=0-{len(came) - 1}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815


@pytest.fixture
def google(monkeypatch):
    monkeypatch.setattr(stores, "RETRY_S", 0.1)
    google = Google()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google.url)
    yield google
    google.close()


@pytest.mark.parametrize("name", ["rows.ndjson", "rows.ndjson.gz"])
@pytest.mark.parametrize("status", [0, 204, 503])
def test_a_file_that_fails_is_never_completed(google, name, status, caplog):
    google.statuses = {"PUT": 308, "DELETE": status}
    place = Artifacts("gs://bucket").place("d", "r", "t")
    with pytest.raises(RuntimeError, match="mine"):
        fail_after(place, name, 10 * 1024 * 1024)
    gc.collect()
    assert [method for method, _ in google.seen] == ["POST", "PUT", "DELETE"]
    assert google.seen[1][1] == f"bytes 0-{8 * 1024 * 1024 - 1}/*"
    assert ("Google was not told" in caplog.text) == (status == 0)
    assert "secret" not in caplog.text


def test_a_small_file_that_fails_is_never_begun(google):
    with pytest.raises(RuntimeError, match="mine"):
        fail_after(Artifacts("gs://bucket").place("d", "r", "t"), "a", 100)
    gc.collect()
    assert google.seen == []


ATTEMPTS = {
    "write": lambda place: place.write("a", 1),
    "read": lambda place: place.read("a"),
    "exists": lambda place: place.exists("a"),
    "clear": lambda place: place.clear(),
}


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (0, ArtifactsUnreachable, "the connection failed (RemoteDisconnected)"),
        (400, ArtifactsError, "HTTP 400 Bad Request"),
        (401, ArtifactsError, "Google does not accept these credentials"),
        (403, ArtifactsError, "HTTP 403 Forbidden"),
        (429, ArtifactsUnreachable, "HTTP 429 Too Many Requests"),
        (503, ArtifactsUnreachable, "HTTP 503 Service Unavailable"),
    ],
)
@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_statuses_of_the_bucket(google, attempt, status, error, message):
    google.statuses = dict.fromkeys(("GET", "POST"), status)
    place = Artifacts("gs://bucket/b").place("d", "r", "t")
    with pytest.raises(ArtifactsError) as caught:
        attempt(place)
    assert type(caught.value) is error
    assert str(caught.value).startswith(place.uri)
    assert message in str(caught.value)
    assert ("Storage Object User" in (caught.value.hint or "")) == (status in (401, 403))
    assert "secret" not in str(caught.value)


def test_a_status_at_the_end_of_a_file_is_an_error(google):
    google.statuses = {"PUT": 403}
    place = Artifacts("gs://bucket").place("d", "r", "t")
    with pytest.raises(ArtifactsError, match="a: HTTP 403 Forbidden"):
        place.write("a", 1)
    seen = len(google.seen)
    gc.collect()
    assert google.seen[-1][0] == "DELETE"
    assert len(google.seen) == seen


def test_a_bucket_that_does_not_exist_is_an_error(proxy):
    artifacts = Artifacts("gs://no-such-bucket")
    with pytest.raises(ArtifactsError, match=r"gs://no-such-bucket/d/?: HTTP 404"):
        list(artifacts.runs(["d"]))
    with pytest.raises(ArtifactsError, match="HTTP 404"):
        artifacts.place("d", "r", "t").write("a", 1)


def test_a_passing_fault_of_the_bucket_is_passed_over(google, monkeypatch):
    monkeypatch.setattr(stores, "RETRY_S", 30)
    google.statuses = {"GET": 503}
    threading.Timer(0.2, google.statuses.clear).start()
    assert Artifacts("gs://bucket").place("d", "r", "t").exists("a")


def run_python(code, **environment):
    environment = {**os.environ, **environment}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout


def test_without_googles_client_it_says_what_to_install():
    code = """
import sys
sys.modules["google.cloud.storage"] = None
from loader.errors import ArtifactsError
from loader.factory.artifacts import Artifacts
try:
    Artifacts("gs://bucket").place("d", "r", "t").read("a")
except ArtifactsError as error:
    print(error.hint)
"""
    assert run_python(code) == "pip install 'aircan[gcs]'\n"


def test_without_credentials_it_says_so(tmp_path):
    code = """
from loader.errors import ArtifactsError
from loader.factory.artifacts import Artifacts
try:
    Artifacts("gs://bucket").place("d", "r", "t").exists("a")
except ArtifactsError as error:
    print(error, error.retryable)
"""
    said = run_python(
        code,
        STORAGE_EMULATOR_HOST="",
        GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "nothing"),
        NO_GCE_CHECK="true",
    )
    assert said == "gs://bucket: Google does not accept these credentials False\n"


def test_a_local_folder_costs_no_import_of_the_network(tmp_path):
    code = f"""
import sys
from loader.factory.artifacts import Artifacts
Artifacts("gs://bucket").place("d", "r", "t")
artifacts = Artifacts({str(tmp_path)!r})
artifacts.place("d", "r", "t").write("a.gz", 1)
artifacts.delete(next(artifacts.runs()))
print(sorted({{"smart_open", "requests", "urllib3", "google.auth"}} & set(sys.modules)))
"""
    assert run_python(code) == "[]\n"


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_only_the_owner_may_read_what_lies_in_a_folder(tmp_path, mask):
    before = os.umask(mask)
    try:
        place = Artifacts(str(tmp_path / "base")).place("dag", "run", "load")
        place.write("report.json", {})
        (source := tmp_path / "rejects.csv").write_text("row\n")
        place.put("rejects.csv", source)
        with place.opened("rows.ndjson.gz", "wb") as rows:
            rows.write(b"[]")
            (partial,) = Path(place.uri).glob(".*.part")
            assert partial.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in Path(place.uri).iterdir()}
    assert modes == dict.fromkeys(("report.json", "rejects.csv", "rows.ndjson.gz"), 0o600)


def test_the_group_may_too_where_the_folder_is_shared_with_it(tmp_path):
    (base := tmp_path / "base").mkdir()
    base.chmod(0o2750)
    before = os.umask(0o022)
    try:
        place = Artifacts(str(base)).place("dag", "run", "load")
        place.write("report.json", {})
    finally:
        os.umask(before)
    assert (Path(place.uri) / "report.json").stat().st_mode & 0o777 == 0o640
