"""A conf that brings a CKAN of its own steers to nothing that is the operator's.

A rule over all settings: every environment variable that a worker may have leads to a place where
nobody may knock, every field of a conf is tried, and so is every option of a load.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cases import pairwise
from http_server import HttpServer
from loads import rows
from portal import Portal
from test_tasks import Connection, heard
from unsteady import Unsteady

import loader
from loader import Options, errors
from loader.factory import conf, tasks
from loader.factory.artifacts import Artifacts
from loader.factory.connections import NoConnection
from loader.factory.run import Run, Settings
from loader.pipeline import separate

CSV = b"id,name\n1,a\n2,b\n"
ROWS = [("1", "a"), ("2", "b")]
STEPS = ("prepare", "convert", "load", "register")
TOKEN = "operators-token"


class Trap:
    """A port of this machine to which nobody may connect."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0)
        self.port = self._listener.getsockname()[1]
        self.place = f"127.0.0.1:{self.port}"

    def is_untouched(self) -> bool:
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def trap() -> Iterator[Trap]:
    with closing(Trap()) as trap:
        yield trap


def environment(trap: Trap, folder: Path) -> dict[str, str]:
    """Every variable by which a worker's environment leads somewhere: all of them into the trap."""
    netrc, credentials, passwords = folder / "netrc", folder / "google.json", folder / "pgpass"
    netrc.write_text(f"default login operator password {TOKEN}")
    credentials.write_text('{"type": "authorized_user", "refresh_token": "operators-token"}')
    passwords.write_text(f"*:*:*:*:{TOKEN}")
    database = f"postgresql://operator:{TOKEN}@{trap.place}/operators"
    return {
        "AIRCAN_DATASTORE_URL": database,
        "AIRCAN_CKAN_URL": f"http://{trap.place}",
        "AIRCAN_CKAN_TOKEN": TOKEN,
        "AIRCAN_DATA": str(folder / "data"),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(trap.port),
        "PGDATABASE": "operators",
        "PGUSER": "operator",
        "PGPASSWORD": TOKEN,
        "PGPASSFILE": str(passwords),
        "HTTP_PROXY": f"http://{trap.place}",
        "http_proxy": f"http://{trap.place}",
        "HTTPS_PROXY": f"http://{trap.place}",
        "ALL_PROXY": f"http://{trap.place}",
        "NO_PROXY": "",
        "no_proxy": "",
        "NETRC": str(netrc),
        "STORAGE_EMULATOR_HOST": f"http://{trap.place}",
        "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
        "GOOGLE_CLOUD_PROJECT": "operators",
        "GCE_METADATA_HOST": trap.place,
    }


# What is no place and no secret: how much at a time, and what the operator has allowed to all.
LIMITS = {
    "AIRCAN_ALLOWED_HOSTS",
    "AIRCAN_ARTIFACTS",
    "AIRCAN_CLEANUP_SCHEDULE",
    "AIRCAN_DEFAULT_ENCODING",
    "AIRCAN_HUGE_BYTES",
    "AIRCAN_LARGE_POOL",
    "AIRCAN_LARGE_QUEUE",
    "AIRCAN_LARGE_RUNS",
    "AIRCAN_MAX_ACTIVE_RUNS",
    "AIRCAN_MAX_BYTES",
    "AIRCAN_MAX_LOADS",
    "AIRCAN_MAX_RATIO",
    "AIRCAN_MIN_RATE",
    "AIRCAN_REFUSE_API_KEYS",
    "AIRCAN_RETRY_DELAY_S",
    "AIRCAN_TIMEOUT_HOURS",
}


def test_every_variable_is_one_that_leads_into_the_trap_or_a_limit(trap, tmp_path):
    code = Path(loader.__file__).parent
    named = {
        name
        for path in [*code.rglob("*.py"), *(code.parent / "dags").glob("*.py")]
        for name in re.findall(r"\bAIRCAN_[A-Z_]+\b", path.read_text("utf-8"))
    }
    assert named == LIMITS | {n for n in environment(trap, tmp_path) if n.startswith("AIRCAN_")}


@dataclass
class Theirs:
    """The CKAN that the conf brings: a real one, behind a proxy that notes what it is sent."""

    front: Unsteady
    resource_id: str
    token: str


@pytest.fixture
def theirs(portal_212: Portal) -> Iterator[Theirs]:
    with Unsteady(portal_212.url) as front, HttpServer(CSV) as server:
        front.faults = {"aircan_status_update": [heard] * 1000}
        yield Theirs(front, portal_212.new_resource(server.url)["id"], portal_212.token)


@pytest.fixture
def run(theirs: Theirs, trap: Trap, portal_212: Portal, tmp_path: Path, monkeypatch) -> Run:
    """A run on a worker whose environment and connections are the operator's."""
    source = portal_212.action("resource_show", id=theirs.resource_id)["url"]
    for name, value in environment(trap, tmp_path).items():
        monkeypatch.setenv(name, value)
    place = {"host": "127.0.0.1", "port": trap.port, "login": "operator", "password": TOKEN}
    known = {
        "aircan_ckan": Connection("aircan_ckan", "http", f"http://{trap.place}", password=TOKEN),
        "aircan_datastore": Connection("aircan_datastore", "postgres", schema="operators", **place),
        "other": Connection("other", "postgres", schema="operators", **place),
    }

    def connection(conn_id: str) -> Connection:
        if conn_id not in known:
            raise NoConnection(conn_id)
        return known[conn_id]

    allowed = [urlsplit(url).netloc for url in (theirs.front.url, portal_212.url, source)]
    settings = Settings(allowed_hosts=", ".join(allowed))
    return Run("aircan_load", "manual", Artifacts(str(tmp_path / "kept")), connection, settings)


def asked(run: Run, theirs: Theirs, **given: Any) -> Run:
    """Return the run of a conf that brings its CKAN, as Airflow completes it."""
    brought = {
        "resource": theirs.resource_id,
        "ckan_api_endpoint": f"{theirs.front.url}/api/",
        "ckan_api_key": theirs.token,
    }
    completed = {name: param.get("default") for name, param in conf.LOAD.items()}
    return replace(run, conf=conf.read(completed | brought | given))


def do_all(run: Run) -> dict[str, Any]:
    for step in STEPS:
        getattr(tasks, step)(run)
    tasks.report(run)
    return run.place("report").read("report.json")


def is_kept(theirs: Theirs, trap: Trap) -> bool:
    """Tell whether nobody has knocked, and their CKAN has heard of no secret of the operator's."""
    heard = [part for call in theirs.front.calls for part in (*call.headers.values(), call.body)]
    return trap.is_untouched() and not [part for part in heard if TOKEN in str(part)]


# Each of these with each of the others.
VIAS = ("absent", "auto", "api")
DATABASES = ("aircan_datastore", "", None)
CKANS = ("aircan_ckan", "not_there")


@pytest.mark.parametrize(("via", "database", "ckan"), pairwise(VIAS, DATABASES, CKANS))
def test_its_rows_go_through_its_api(portal_212, run, theirs, trap, via, database, ckan):
    options = {} if via == "absent" else {"via": via}
    given = {"options": options, "datastore_conn_id": database, "ckan_conn_id": ckan}
    report = do_all(asked(run, theirs, **given))
    assert (report["via"], report["rows"], report["warnings"]) == ("api", 2, [])
    assert rows(portal_212, theirs.resource_id) == ROWS
    assert is_kept(theirs, trap)


# What of ours it asks for, beside a CKAN of its own: words of the message
REFUSED = {
    "via": ({"options": {"via": "copy"}}, r"options\.via is copy"),
    "via, no connection": (
        {"options": {"via": "copy"}, "datastore_conn_id": None},
        r"options\.via is copy",
    ),
    "via and a connection": (
        {"options": {"via": "copy"}, "datastore_conn_id": "other"},
        r"options\.via is copy",
    ),
    "a connection": ({"datastore_conn_id": "other"}, "datastore_conn_id is other"),
    "a connection, and the api": (
        {"datastore_conn_id": "other", "options": {"via": "api"}},
        "datastore_conn_id is other",
    ),
    "a connection that is not there": (
        {"datastore_conn_id": "not_there"},
        "datastore_conn_id is not_there",
    ),
}


@pytest.mark.parametrize(
    ("kind", "ckan", "mode"), pairwise([*REFUSED], CKANS, ["replace", "append", "upsert"])
)
def test_a_database_of_ours_is_refused_to_it(run, theirs, trap, kind, ckan, mode):
    given, said = REFUSED[kind]
    run = asked(run, theirs, **given, ckan_conn_id=ckan, mode=mode)
    with pytest.raises(errors.UsageError, match=f"{said}, and the conf brings a CKAN") as refused:
        tasks.prepare(run)
    assert refused.value.hint
    # Nor does a later step, should somebody clear it by itself.
    place = run.place("prepare")
    described = place.read("dataset.json")["resources"][0]
    for step in ("load", "convert"):
        place.write("resource.json", described | {"aircan": WAYS[step] | file_of(run)})
        with pytest.raises(errors.UsageError, match="the conf brings a CKAN"):
            getattr(tasks, step)(run)
    assert is_kept(theirs, trap)


def file_of(run: Run) -> dict[str, str]:
    """What ``prepare`` notes of the file, by which a later step knows it again."""
    shown = run.ckan().resource(run.conf.resource_id)
    return {"file": tasks._file(run, tasks._uri(run, run.ckan())), "dataset": shown["package_id"]}


COPIES = {"via": "copy", "reason": ""}
WAYS = {"load": COPIES, "convert": {"via": "api", "reason": ""}}


def test_a_run_that_was_prepared_otherwise_does_not_copy_either(run, theirs, trap):
    run = asked(run, theirs)
    tasks.prepare(run)
    place = run.place("prepare")
    described = place.read("resource.json")
    place.write("resource.json", described | {"aircan": COPIES | file_of(run)})
    with pytest.raises(errors.UsageError):
        tasks.load(run)
    assert is_kept(theirs, trap)


@pytest.mark.parametrize("key", [" ", "\t\n"])
def test_a_blank_key_is_no_way_to_the_operators_token(run, theirs, trap, key):
    with pytest.raises(errors.CkanError):
        do_all(asked(run, theirs, ckan_api_key=key))
    assert is_kept(theirs, trap)


@pytest.mark.parametrize("step", ["convert", "validate"])
@pytest.mark.parametrize("path", ["gs://operators/a.csv", "/etc/passwd", "file:///etc/passwd"])
def test_no_bucket_and_no_file_is_read_for_it(run, theirs, trap, path, step):
    run = asked(run, theirs, resource={"resource_id": theirs.resource_id, "path": path})
    tasks.look_up(run) if step == "validate" else tasks.prepare(run)
    with pytest.raises(errors.AddressRefused, match=r"is at none of http, https$") as refused:
        getattr(tasks, step)(run)
    assert refused.value.hint
    assert is_kept(theirs, trap)


@pytest.mark.parametrize("path", ["", "dataset/d/resource/{}/download/a.csv"])
def test_the_operators_ckan_is_not_fetched_from_for_it(run, theirs, trap, path):
    url = f"http://{trap.place}/{path.format(theirs.resource_id)}"
    run = asked(run, theirs, resource={"resource_id": theirs.resource_id, "path": url})
    tasks.prepare(run)
    with pytest.raises(errors.AddressRefused, match="not at a public address"):
        tasks.convert(run)
    assert is_kept(theirs, trap)


def test_its_ckan_is_judged_in_every_step(run, theirs, trap, monkeypatch):
    """A name may be at another address by then."""
    run = asked(run, theirs)
    for step in STEPS:
        inner = replace(run, settings=Settings())
        with pytest.raises(errors.AddressRefused):
            getattr(tasks, step)(inner)
        getattr(tasks, step)(run)
    with pytest.raises(errors.AddressRefused):
        separate.register(loader.Report(theirs.resource_id, ""), tasks._of_ckan(inner))
    assert is_kept(theirs, trap)


def test_what_is_validated_for_it_needs_no_database(run, theirs, trap):
    run = replace(asked(run, theirs, options={"via": "copy"}), dag_id="aircan_validate")
    tasks.look_up(run)
    tasks.validate(run)
    assert run.place("validate").read("report.json")["valid"] is True
    assert is_kept(theirs, trap)


# A value of each field of a conf that leads to something of the operator's, or is of no account.
FIELDS = {
    "resource": "see above",
    "mode": "replace",
    "unique_keys": [],
    "options": "see below",
    "ckan_conn_id": "see above",
    "datastore_conn_id": "see above",
    "ckan_api_endpoint": "its own",
    "job_id": "job-1",
    "ckan_api_key": "its own",
}


def test_every_field_of_a_conf_is_tried_here():
    assert FIELDS.keys() == conf.LOAD.keys() == {field.name for field in fields(conf.Conf)}


# Options that say how a file is to be read, and are of no account for where.
HARMLESS = {
    "full_text": "text",
    "fts_index": "none",
    "max_bad_rows": 0,
    "max_bad_share": 0.5,
    "on_type_error": "widen",
    "on_concurrent_writes": "warn",
    "via": "auto",
    "encoding": "utf-8",
    "delimiter": ",",
    "header_row": 1,
    "default_encoding": "cp1250",
    "types": "strict",
    "dates": "dmy",
    "decimal": "comma",
    "missing": "auto",
    "keep_types": True,
    "strip": True,
    "max_bytes": "10MB",
    "max_ratio": 100,
    "min_rate": "2KiB",
}


def test_options_that_a_conf_may_set_lead_nowhere(portal_212, run, theirs, trap):
    assert HARMLESS.keys() == conf.LOAD["options"]["properties"].keys()
    assert do_all(asked(run, theirs, options=HARMLESS))["via"] == "api"
    assert rows(portal_212, theirs.resource_id) == ROWS
    assert is_kept(theirs, trap)


@pytest.mark.parametrize("given", [{}, {"default_encoding": "cp1255"}], ids=["none", "theirs"])
def test_the_encoding_of_the_operators_publishers_is_not_theirs(run, theirs, given):
    run = replace(run, settings=replace(run.settings, default_encoding="cp1250"))
    inner = asked(run, theirs, options=given)
    options = tasks._options(inner, inner.ckan(), {"aircan": {"dataset": "d"}})
    assert options.reading.default_encoding == given.get("default_encoding")


@pytest.mark.parametrize("option", [f.name for f in fields(Options) if f.name not in HARMLESS])
def test_all_other_options_are_the_operators(run, theirs, option):
    value = getattr(Options(), option)
    with pytest.raises(errors.UsageError, match=f"the conf's options have {option}"):
        asked(run, theirs, options={option: value})
    with pytest.raises(errors.UsageError, match=f"the conf's options have {option}"):
        conf.read_without_resource({"options": {option: value}})
    assert conf.LOAD["options"]["additionalProperties"] is False


@pytest.mark.parametrize("database", [None, "", "not_there"])
def test_with_the_operators_ckan_copy_needs_a_connection(run, theirs, trap, database):
    given = {"options": {"via": "copy"}, "datastore_conn_id": database}
    run = replace(run, conf=conf.read({"resource": theirs.resource_id, **given}))
    with pytest.raises(errors.UsageError, match="no connection names the DataStore's") as refused:
        run.datastore_url()
    assert "Airflow connection" in refused.value.hint
    assert is_kept(theirs, trap)
