"""The command as a person or a script meets it: what it prints where, and how it exits."""

import io
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from datastore import rows_of, shadows
from http_server import HttpServer
from rich.console import Console
from typer.testing import CliRunner

from loader import errors, progress
from loader.cli import commands as cli
from loader.cli import output
from loader.copy import relation, shadow
from loader.options import default_resource_id
from loader.pipeline import intake
from loader.types.column import Column

ARGV = [sys.executable, "-m", "loader"]
SECRET = "hunter2"
KEYS = {
    *("resource_id", "table", "source", "via", "mode", "rows", "bytes", "columns", "bad_rows"),
    *("hash", "warnings", "timings_s", "rows_per_second", "error"),
}
STEPS = {
    *("infer", "copy", "primary_key", "full_text_index", "analyze", "swap", "register", "total"),
}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., str]:
    def write(content: str = "id,name\n1,Ann\n2,Bo\n", name: str = "people.csv") -> str:
        (tmp_path / name).write_text(content, encoding="utf-8")
        return name

    return write


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, datastore_url_18: str) -> str:
    """The DataStore, named as its operators do."""
    monkeypatch.setenv("AIRCAN_DATASTORE_URL", datastore_url_18)
    return datastore_url_18


def aircan(*arguments: str):
    """Call the command in this process."""
    return CliRunner().invoke(cli.app, arguments, prog_name="aircan")


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    """Run the command as a process."""
    return subprocess.run([*ARGV, *arguments], capture_output=True, text=True, **options)


COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ROWS = b"id,note\n" + (b"1," + b"x" * 996 + b"\n") * 9000

# Exit codes and streams


def test_a_load_exits_with_0_and_reports_on_stdout(csv, named, database_18):
    done = aircan("load", csv())
    assert done.exit_code == 0
    assert re.fullmatch(
        "column  type\n"
        "id      bigint\n"
        "name    text\n"
        "\n"
        r"2 rows loaded into people in \d+\.\d s \(\d+ rows/s\)" + "\n",
        done.stdout,
    )
    assert rows_of(database_18, "people") == [(1, "Ann"), (2, "Bo")]


def test_progress_is_on_stderr_in_plain_lines(csv, named):
    done = aircan("load", csv())
    assert done.stderr.splitlines() == [
        "reading the header",
        "copying rows",
        "adding the primary key",
        "swapping the tables",
        "indexing the full text",
        "analysing the table",
    ]


def test_the_report_tells_what_was_widened_set_aside_and_left_out(csv, named):
    first_block = "".join(f"{i},{'x' * 1000}\n" for i in range(5000))
    content = f"Counts 2024\n\nn,note\n{first_block}N/A,late\n7,8,9\n1\n\n"
    done = aircan("load", csv(content, "counts.csv"))
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[1] == "n       text  widened from bigint"
    assert lines[-7:] == [
        "rows set aside: 1, in counts.rejects.csv",
        "  row 5005: 3 cells, 2 columns",
        "n: text instead of bigint, for 'N/A' in row 5004",
        "rows left out above the header in row 3: 1",
        "blank lines left out: 1",
        "rows padded or trimmed: 1 (row 5006)",
        "n: text for 'N/A' (1), bigint without; missing=auto reads such signs as NULL",
    ]
    assert "beginning again with wider columns" in done.stderr


def gone(folder: Path) -> Path:
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    return Path()


def full(folder: Path) -> Path:
    (folder / "people.rejects.csv").mkdir(parents=True)
    return folder


# Where the command is called: folders that take no file of that name.
UNWRITABLE = {
    "a folder that takes no file": lambda folder: Path("/proc"),
    "a folder that is gone": gone,
    "a folder in the file's place": full,
}


@pytest.mark.parametrize("place", UNWRITABLE.values(), ids=UNWRITABLE)
def test_the_current_folder_matters_only_when_there_is_a_row_for_it(
    csv, named, database_18, tmp_path, monkeypatch, place
):
    good, bad = str(tmp_path / csv()), tmp_path / "bad" / "people.csv"
    bad.parent.mkdir()
    bad.write_text("id,name\n1,Ann\n2,Bo,3\n")
    monkeypatch.chdir(tmp_path)  # and back in the end
    os.chdir(place(tmp_path / "here"))
    done = aircan("load", good)
    assert (done.exit_code, done.stderr.count("aircan:")) == (0, 0), done.stderr
    failed = aircan("load", str(bad))
    assert failed.exit_code == 1
    assert "aircan: the rejects file cannot be written" in failed.stderr
    assert "people.rejects.csv" in failed.stderr
    assert "--rejects" in failed.stderr
    assert rows_of(database_18, "people") == [(1, "Ann"), (2, "Bo")]
    named_place = tmp_path / "aside.csv"
    assert aircan("load", str(bad), "--rejects", str(named_place)).exit_code == 0
    assert "2,Bo,3" in named_place.read_text()


def test_names_that_would_move_the_cursor_are_shown_without_that(csv, named):
    done = aircan("load", csv('"a\x1b[2J\nb",c\n1,2\n'))
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    assert "a[2J b  bigint" in done.stdout


# Clears the screen, turns the direction, forges a line; and what might be taken for markup.
HARM = "\x1b[2J\u202e\u2028\u200b\x9b1m[red]"
HARMS = set("\x1b\u202e\u2028\u200b\x9b")


@pytest.mark.parametrize("command", ["load", "infer", "validate"])
def test_no_output_moves_the_cursor_whatever_the_file_says(csv, named, command):
    rows = "".join(f"{n},{HARM}\n" for n in range(9)) + f"x{HARM},1\n1,2,{HARM}\n"
    csv(f'n,"a{HARM}b"\n{rows}')
    descriptor = {"fields": [{"name": "n", "type": "integer"}]}
    csv(json.dumps(descriptor), "schema.json")
    calls = [["--debug"], ["--schema", "schema.json", "--debug"]]
    calls += [[*call, "--json"] for call in calls] if command == "load" else []
    for call in calls:
        done = aircan(command, "people.csv", *call)
        assert not set(done.stdout + done.stderr) & HARMS, call
        if "--json" in call:
            columns = json.loads(done.stdout)["columns"]
            assert HARM in columns[1]["label"] + columns[1]["id"]


@pytest.mark.parametrize("source", [f"{HARM}.csv", f"https://127.0.0.1:9/{HARM}?a={HARM}", HARM])
def test_nor_whatever_it_is_called(named, source):
    for options in ([], ["--json", "--debug"]):
        done = aircan("load", source, *options)
        assert done.exit_code in (1, 2)
        assert not set(done.stdout + done.stderr) & HARMS


WORKBOOK = "[Content_Types].xml", "xl/workbook.xml"

# What people do: arguments, files there are, exit code, words on stderr.
FAILURES = {
    "a missing file": (["load", "nowhere.csv"], 1, "nowhere.csv: no such file"),
    "a directory": (["load", "."], 1, ". is a directory"),
    "an empty name": (["load", ""], 2, "the source '' names no file"),
    "a web page": (["load", "page.csv"], 1, "an HTML page, not a CSV table"),
    "a workbook": (["load", "book.xlsx"], 1, "book.xlsx is an Excel workbook"),
    "an empty file": (["load", "empty.csv"], 1, "the file is empty"),
    "another scheme": (["load", "s3://bucket/a.csv"], 2, "s3:// is not supported"),
    "no argument": (["load"], 2, "Missing argument 'SOURCE'"),
    "a typo in an option": (["load", "good.csv", "--lane", "2"], 2, "--lanes"),
    "a typo in a command": (["laod", "good.csv"], 2, "load"),
    "no lanes": (["load", "good.csv", "--lanes", "0"], 2, "--lanes"),
    "a choice there is not": (["load", "good.csv", "--fts-index", "btree"], 2, "--fts-index"),
    "an unknown encoding": (["load", "good.csv", "--encoding", "klingon"], 2, "'klingon'"),
    "a long delimiter": (["infer", "good.csv", "--delimiter", "ab"], 2, "'ab'"),
    "a header past the end": (["infer", "good.csv", "--header-row", "9"], 2, "header row 9"),
    "a hidden name": (["load", "good.csv", "--resource-id", "_x"], 2, "'_x' cannot name"),
    "a missing schema": (["load", "good.csv", "--schema", "no.json"], 2, "cannot read no.json"),
    "a schema that is no JSON": (["infer", "good.csv", "--schema", "good.csv"], 2, "is not JSON"),
    "a schema that is a list": (["infer", "good.csv", "--schema", "list.json"], 2, "neither a"),
    "a package as a schema": (["infer", "good.csv", "--schema", "package.json"], 2, "neither a"),
    "a field of no type": (["infer", "good.csv", "--schema", "odd.json"], 2, "not a valid Table"),
    "a field there is not": (["infer", "good.csv", "--schema", "more.json"], 2, "'more'"),
    "a schema of a wrong kind": (["infer", "good.csv", "--schema", "kind.json"], 2, "'schema' is"),
    "another database": (
        ["load", "good.csv", "--datastore-url", "mysql://h/d"],
        *(2, "not a Postgres URL"),
    ),
    "nobody listens": (
        ["cleanup", "--datastore-url", "postgresql://127.0.0.1:1/d"],
        *(1, "Connection refused"),
    ),
}


@pytest.fixture
def files_of_all_kinds(csv, tmp_path) -> None:
    csv("a,b\n1,2\n", "good.csv")
    csv("", "empty.csv")
    csv("<!DOCTYPE html><title>Sign in</title>", "page.csv")
    csv("[]", "list.json")
    csv('{"resources": [{"path": "good.csv"}]}', "package.json")
    csv('{"fields": [{"name": "a", "type": "colour"}]}', "odd.json")
    csv('{"fields": [{"name": "more", "type": "string"}]}', "more.json")
    csv('{"schema": 5}', "kind.json")
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as book:
        for name in WORKBOOK:
            book.writestr(name, "<xml/>")


@pytest.mark.usefixtures("files_of_all_kinds", "named", "hurried")
@pytest.mark.parametrize(("arguments", "code", "words"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_one_line_and_an_exit_code(arguments, code, words):
    done = aircan(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith(("aircan: ", "Error: "))]
    assert len(told) == 1


def test_an_error_comes_with_a_hint(csv, named):
    assert aircan("load", ".").stderr.splitlines()[-3:] == [
        "aircan: . is a directory",
        "  hint: name the file in it that is to be loaded",
        "  table: as it was",
    ]


def test_a_traceback_is_shown_when_asked_for(named):
    done = aircan("load", "nowhere.csv", "--debug")
    assert done.exit_code == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.endswith("aircan: nowhere.csv: no such file\n  table: as it was\n")


def test_help_and_version_are_on_stdout():
    assert aircan("--version").stdout.startswith("aircan ")
    assert aircan("load", "--help").stdout.startswith("Usage: aircan load [OPTIONS] SOURCE\n")


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["", "json"])
def test_without_a_ckan_nothing_is_said_of_its_resources(more):
    done = aircan("reload", "--all", *more)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("aircan: no CKAN is named\n")


def test_the_module_is_the_command():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, aircan("--version").stdout, "")


@pytest.fixture
def broken(monkeypatch) -> None:
    """A step that raises what nobody foresaw, with a secret in its text."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError(f"in https://u:{SECRET}@h/")

    monkeypatch.setattr(intake, "read", fail)


@pytest.mark.usefixtures("broken", "named")
def test_what_nobody_foresaw_is_one_line_too(csv):
    done = aircan("load", csv(), "--json")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        "aircan: unexpected ZeroDivisionError: please report this; --debug shows where"
    )
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert set(report) == KEYS
    assert (report["error"]["type"], report["resource_id"]) == ("Unexpected", "people")


@pytest.mark.usefixtures("broken", "named")
def test_where_it_happened_is_shown_when_asked_for(csv):
    done = aircan("load", csv(), "--debug")
    assert done.exit_code == 1
    assert "in fail\n" in done.stderr
    assert "ZeroDivisionError" in done.stderr


# JSON


def test_json_is_one_object_and_nothing_else_is_on_stdout(csv, named):
    done = aircan("load", csv(), "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert set(report) == KEYS
    assert set(report["timings_s"]) == STEPS
    plain = {"label": "", "widened_from": None, "read_as": None, "missing": {}, "would_be": None}
    assert report["columns"] == [
        {"id": "id", "type": "bigint", "inferred_as": "integer", **plain},
        {"id": "name", "type": "text", "inferred_as": "string", **plain},
    ]
    assert report["bad_rows"] == {"rejected": 0, "repaired": 0, "rejects": None, "first": []}
    assert (report["resource_id"], report["table"]) == ("people", "replaced")
    assert (report["source"], report["via"], report["mode"]) == ("people.csv", "copy", "replace")
    assert (report["rows"], report["bytes"], report["error"]) == (2, 19, None)


def test_json_tells_which_value_stopped_the_load(csv, named):
    schema = csv('{"fields": [{"name": "id", "type": "integer"}]}', "schema.json")
    done = aircan("load", csv("id,name\n1,Ann\nx,Bo\n"), "--schema", schema, "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert set(report) == KEYS
    assert report["columns"][0]["type"] == "bigint"
    assert report["error"] == {
        "type": "ValueDoesNotFit",
        "message": "does not fit the declared type integer",
        "hint": "correct the value, declare another type, or have the column widened",
        "option": "on_type_error",
        "row": 3,
        "column": "id",
        "value": "x",
        "retryable": False,
        "table": "untouched",
    }


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["nowhere.csv"], 1, "SourceNotFound"),
        (["people.csv", "--schema", "nowhere.json"], 2, "UsageError"),
        (["people.csv", "--datastore-url", "mysql://h/d"], 2, "UsageError"),
        (["people.csv", "--datastore-url", "postgresql://127.0.0.1:1/d"], 1, "DatabaseUnreachable"),
    ],
)
def test_json_is_there_after_every_failure(csv, named, arguments, code, kind, debug):
    csv()
    done = aircan("load", *arguments, "--json", *debug)
    assert done.exit_code == code
    report = json.loads(done.stdout)
    assert set(report) == KEYS
    assert (report["error"]["type"], report["source"]) == (kind, arguments[0])
    assert report["resource_id"] in ("nowhere", "people")


def test_json_holds_a_file_name_that_is_no_text(named):
    name = b"caf\xe9.csv"
    Path(os.fsdecode(name)).write_text("a\n1\n")
    done = subprocess.run([*ARGV, "load", name, "--json"], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert os.fsencode(json.loads(done.stdout)["source"]) == name


# Secrets


@pytest.fixture
def locked_url(database_18: psycopg.Connection, datastore_url_18: str, servers: Path) -> str:
    """The URL, without a password, of a role that needs one."""
    rules = servers / "postgres-18" / "pg_hba.conf"
    rules.write_text(f"local all writer scram-sha-256\n{rules.read_text()}")
    database_18.execute("DROP ROLE IF EXISTS writer")
    database_18.execute(f"CREATE ROLE writer LOGIN PASSWORD '{SECRET}'")
    database_18.execute("SELECT pg_reload_conf()")
    url = datastore_url_18.replace("//postgres@", "//writer@")
    while lets_in(url):  # until the rules are reloaded
        time.sleep(0.01)
    return url


def lets_in(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["", "json"])
def test_a_wrong_password_is_told_and_not_shown(csv, locked_url, debug, as_json):
    url = locked_url.replace("writer@", f"writer:{SECRET}x@")
    done = aircan("load", csv(), "--datastore-url", url, *debug, *as_json)
    assert done.exit_code == 1
    assert 'password authentication failed for user "writer"' in done.stderr
    assert "check user and password (AIRCAN_DATASTORE_URL)" in done.stderr
    assert SECRET not in done.stdout + done.stderr


UNPARSABLE = {
    "an option there is not": f"postgresql://u:{SECRET}@h/d?nonsense=1",
    "a bare @": f"postgresql://u:pa@{SECRET}@h/d",
    "a bare /": f"postgresql://u:pa/{SECRET}@h/d",
    "a bare / after digits": f"postgresql://u:12/{SECRET}@h/d",
    "a bare %": f"postgresql://u:{SECRET}%@h/d",
    "a bare [": f"postgresql://u:[{SECRET}@h/d",
    "a port that is none": f"postgresql://u:{SECRET}@h:port/d",
    "a name for libpq": f"host=h user=u password={SECRET}",
    "another database": f"mysql://u:{SECRET}@h/d",
    "one slash": f"postgresql:/u:{SECRET}@h/d",
}


@pytest.mark.parametrize("url", UNPARSABLE.values(), ids=UNPARSABLE.keys())
def test_a_url_that_cannot_be_parsed_is_not_shown(csv, url):
    done = aircan("load", csv(), "--datastore-url", url, "--debug", "--json")
    assert done.exit_code in (1, 2)
    assert json.loads(done.stdout)["error"]["type"] in ("UsageError", "DatabaseUnreachable")
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
@pytest.mark.parametrize("command", ["load", "infer", "validate"])
def test_secrets_of_the_source_are_not_shown(named, command, debug):
    with HttpServer(b"a\n1\n", credentials=("u", SECRET)) as server:
        for password, code in ((SECRET, 0), (f"{SECRET}x", 1)):
            url = server.url.replace("//", f"//u:{password}@") + f"?token={SECRET}"
            done = aircan(command, url, *debug)
            assert done.exit_code == code, done.stderr
            assert SECRET not in done.stdout + done.stderr


# Meant as a URL, and none: the shell took a part of it, or its scheme is missing.
LIKE_URLS = [
    f"u:{SECRET}@h.example/x.csv",
    f"{SECRET}@h.example/x.csv",
    f"//u:{SECRET}@h.example/x.csv",
    f"h.example/x.csv?token={SECRET}",
    f"h.example/x.csv?{SECRET}",
    f"h.example/x.csv?format={SECRET}",
    f"https:/u:{SECRET}@h.example/x.csv",
    f"ftp://u:{SECRET}@h.example/x.csv?version={SECRET}",
]
PLACES = {
    "load": ("load", "{}"),
    "load, as JSON": ("load", "{}", "--json"),
    "infer": ("infer", "{}"),
    "validate": ("validate", "{}"),
    "its schema": ("infer", "t.csv", "--schema", "{}"),
    "its CKAN": ("load", "t.csv", "--ckan-url", "{}"),
    "its database": ("load", "t.csv", "--datastore-url", "{}"),
    "the database of a cleanup": ("cleanup", "--datastore-url", "{}"),
    "an argument too many": ("load", "t.csv", "{}"),
    "an argument too many below": ("db", "start", "{}"),
    "no number": ("load", "t.csv", "--lanes", "{}"),
    "no choice": ("load", "t.csv", "--mode", "{}"),
    "no command": ("{}",),
    "no command below": ("db", "{}"),
}


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
@pytest.mark.parametrize("url", LIKE_URLS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_no_secret_is_shown_wherever_a_url_is_given(csv, named, place, url, debug):
    csv("n\n1\n", "t.csv")
    arguments = [one.format(url) for one in place]
    done = aircan(*arguments, *(debug if place[0] in ("load", "infer", "validate") else []))
    assert done.exit_code in (1, 2)
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("url", LIKE_URLS)
def test_no_table_is_called_by_a_secret(url):
    assert SECRET not in default_resource_id(url)


# Stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_load_with_one_line(csv, named, database_18, number):
    assert aircan("load", csv()).exit_code == 0
    rows = b"id,name\n" + b"1,somebody\n" * 400_000
    with HttpServer(rows, bytes_per_s=1_000_000) as server:
        process = subprocess.Popen(
            [*ARGV, "load", server.url, "--resource-id", "people", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "reading the header\n" in process.stderr  # reads as far as that
        process.send_signal(number)
        told, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads(told)["error"]["type"] == "Cancelled"
    assert said.splitlines()[-2:] == [
        "aircan: the load was stopped",
        "  table: as it was",
    ]
    assert "Traceback" not in said
    assert rows_of(database_18, "people") == [(1, "Ann"), (2, "Bo")]
    assert shadows(database_18) == []


def test_a_signal_ends_the_other_commands_too():
    with HttpServer(b"id,name\n" + b"1,somebody\n" * 400_000, bytes_per_s=500_000) as server:
        process = subprocess.Popen(
            [*ARGV, "validate", server.url], stdout=-1, stderr=subprocess.PIPE, text=True
        )
        while not server.requests and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        told, said = process.communicate(timeout=60)
    assert (process.returncode, told, said) == (1, "", "aircan: stopped\n")


def test_a_reader_that_has_enough_is_no_error(csv):
    wide = csv(",".join(f"column {i}" for i in range(1500)) + "\n")
    command = f"{shlex.join([*ARGV, 'infer', wide])} | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("{\n", "")


# The terminal


def on_a_terminal(width: int, *arguments: str) -> tuple[int, str, str]:
    """Run the command with a terminal as stderr; return its exit code, stdout and stderr."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(width), "LINES": "24"}
    process = subprocess.Popen(
        [*ARGV, *arguments], stdout=subprocess.PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    with suppress(OSError):  # EIO: the other end is closed
        while piece := os.read(ours, 65536):
            seen += piece
    os.close(ours)
    return process.wait(), process.stdout.read().decode(), seen.decode()


def test_a_terminal_shows_a_bar(named):
    with HttpServer(ROWS, bytes_per_s=5_000_000) as server:
        code, told, seen = on_a_terminal(100, "load", server.url, "--full-text", "none")
    assert code == 0
    assert told.startswith("column  type\n")
    assert re.search(
        r"copying rows [━╸╺ ]+ \d/9 MB  [\d,]+ rows  [\d,]+/s  0:\d\d left", COLOUR.sub("", seen)
    )
    assert COLOUR.search(seen)


def test_no_color_takes_the_colours_away(csv, named, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    code, _, seen = on_a_terminal(80, "load", csv())
    assert code == 0
    assert "copying rows" in seen
    assert not COLOUR.search(seen)


@pytest.mark.parametrize(
    ("width", "size", "numbers"),
    [
        (80, 500_000_000, r"250/500 MB  9,000,000 rows  [\d,]+/s  0:0\d left"),
        (80, None, r"250 MB  9,000,000 rows  [\d,]+/s"),
        (40, 500_000_000, r"0:0\d left"),
        (40, None, r"9,000,000 rows"),
    ],
)
def test_the_bar_fits_on_one_line(width, size, numbers):
    terminal = io.StringIO()
    console = Console(file=terminal, width=width, force_terminal=True, no_color=True)
    with progress.Bar(console) as bar:
        bar.begin("copying rows")
        bar.expect(size)
        bar.advance(250_000_000, 9_000_000)
    lines = re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", terminal.getvalue())
    shown = re.compile(rf"copying rows [━╸╺ ]+ {numbers}")
    assert any(shown.fullmatch(line.strip()) for line in lines), lines
    assert max(map(len, lines)) <= width


# The embedded PostgreSQL


def test_without_a_datastore_the_last_line_queries_what_was_loaded(csv, data_folder):
    done = run("load", csv('Name,"it\'s"\nAnn,1\n'))
    assert done.returncode == 0, done.stderr
    label, _, command = done.stdout.splitlines()[-1].partition(":")
    assert label == "Query it"
    asked = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert asked.stdout.splitlines()[0].split("|")[1].strip() == "Name"
    assert [cell.strip() for cell in asked.stdout.splitlines()[2].split("|")] == ["1", "Ann", "1"]


def test_with_a_datastore_no_embedded_one_is_spoken_of(csv, named, datastore_url_18, monkeypatch):
    assert "Query it" not in aircan("load", csv()).stdout
    monkeypatch.delenv("AIRCAN_DATASTORE_URL")
    assert "Query it" not in aircan("load", csv(), "--datastore-url", datastore_url_18).stdout


def test_what_is_printed_can_be_pasted(monkeypatch, tmp_path):
    called = tmp_path / "a folder" / "aircan"
    called.parent.mkdir()
    called.write_text("#!/bin/sh\n")
    called.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(called)])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert output.command_name() == f"'{called}'"
    monkeypatch.setenv("PATH", f"{called.parent}:/usr/bin")
    assert output.command_name() == "aircan"


def test_the_server_starts_answers_and_stops(data_folder):
    assert (aircan("db", "url").exit_code, aircan("db", "stop").exit_code) == (1, 0)
    started = aircan("db", "start")
    assert started.exit_code == 0
    assert started.stdout == aircan("db", "url").stdout == aircan("db", "start").stdout
    assert psycopg.connect(started.stdout.strip()).execute("SELECT 1").fetchone() == (1,)
    asked = run("db", "psql", "-At", "-c", "SELECT 6 * 7")
    assert (asked.returncode, asked.stdout) == (0, "42\n")
    assert aircan("db", "stop").stdout == "stopped\n"
    assert aircan("db", "stop").stdout == "it was not running\n"
    assert "start it with: aircan db start" in aircan("db", "url").stderr


# cleanup


@pytest.fixture
def orphan(database_18) -> str:
    names = relation.name("killed")
    shadow.create(relation.Relation(database_18, names), [Column("a", "text")], None)
    return names.shadow


def test_cleanup_drops_what_killed_loads_left(csv, named, orphan, database_18):
    assert aircan("load", csv()).exit_code == 0
    assert aircan("cleanup", "--dry-run").stdout == f"would drop {orphan}\n"
    assert shadows(database_18) == [orphan]
    assert aircan("cleanup").stdout == f"dropped {orphan}\n"
    assert aircan("cleanup").stdout == "nothing to clean up\n"
    assert len(rows_of(database_18, "people")) == 2


# Descriptors


TABLE_SCHEMA = {"fields": [{"name": "id", "type": "string"}]}
SCHEMAS = {
    "a Table Schema": TABLE_SCHEMA,
    "a Resource": {"name": "r", "path": "people.csv", "schema": TABLE_SCHEMA},
    "a Resource that names its schema": {"schema": "table.json"},
}


@pytest.mark.parametrize("descriptor", SCHEMAS.values(), ids=SCHEMAS.keys())
def test_a_schema_can_be_given_in_each_form(csv, named, database_18, descriptor):
    csv(json.dumps(TABLE_SCHEMA), "table.json")
    schema = csv(json.dumps(descriptor), "schema.json")
    assert aircan("load", csv(), "--schema", schema).exit_code == 0
    assert rows_of(database_18, "people") == [("1", "Ann"), ("2", "Bo")]


def test_a_resource_brings_its_encoding_and_dialect(named, database_18, csv):
    Path("people.csv").write_bytes("x\n1;Zoë\n2;Bo\n".encode("cp850"))
    schema = csv(
        json.dumps(
            {
                "encoding": "cp850",
                "dialect": {"header": False, "csv": {"delimiter": ";"}},
                "schema": {"fields": [{"name": "column_1", "type": "string"}]},
            }
        ),
        "resource.json",
    )
    assert aircan("load", "people.csv", "--schema", schema).exit_code == 0
    assert rows_of(database_18, "people") == [("x", None), ("1", "Zoë"), ("2", "Bo")]


def test_infer_writes_what_load_reads(csv, named, database_18):
    source = csv("Report\n\nid;größe;wann\n1;1.5;2024-02-29\n", "in.csv")
    inferred = aircan("infer", source)
    assert inferred.exit_code == 0
    descriptor = json.loads(inferred.stdout)
    assert descriptor["encoding"] == "utf-8"
    assert descriptor["dialect"] == {"csv": {"delimiter": ";"}, "headerRows": [3]}
    assert descriptor["schema"]["fields"] == [
        {"name": "id", "type": "integer"},
        {"name": "größe", "type": "number"},
        {"name": "wann", "type": "date"},
    ]
    resource = csv(inferred.stdout, "resource.json")
    assert aircan("load", source, "--schema", resource).exit_code == 0
    assert len(rows_of(database_18, "in")) == 1


def test_infer_keeps_what_was_declared(csv):
    declared = {"fields": [{"name": "id", "type": "string"}], "missingValues": ["", "-"]}
    schema = csv(json.dumps(declared), "schema.json")
    inferred = json.loads(aircan("infer", csv(), "--schema", schema).stdout)["schema"]
    assert inferred["missingValues"] == ["", "-"]
    assert inferred["fields"][0] == {"name": "id", "type": "string"}


# validate


def problems(stdout: str) -> list[tuple[str, int]]:
    """Return type and row of each error of a frictionless report."""
    task = json.loads(stdout)["tasks"][0]
    return [(error["type"], error["rowNumber"]) for error in task["errors"]]


def test_a_valid_file_exits_with_0(csv):
    done = aircan("validate", csv())
    assert done.exit_code == 0
    assert json.loads(done.stdout)["valid"] is True


def test_an_invalid_file_exits_with_1_and_tells_the_rows_of_the_file(csv):
    schema = csv(
        '{"fields": [{"name": "id", "type": "integer", "constraints": {"maximum": 3}}]}', "s.json"
    )
    done = aircan("validate", csv("Title\n\nid,name\n1,a\nx,b\n\n4,c\n5\n"), "--schema", schema)
    assert done.exit_code == 1
    assert problems(done.stdout) == [
        ("type-error", 5),
        ("blank-row", 6),
        ("constraint-error", 7),
        ("constraint-error", 8),
        ("missing-cell", 8),
    ]
    assert 'in row \\"5\\"' in done.stdout


def test_rows_are_counted_from_1_without_a_header(csv):
    schema = csv('{"fields": [{"name": "column_1", "type": "integer"}]}', "s.json")
    done = aircan("validate", csv("1,a\nx,b\n"), "--header-row", "0", "--schema", schema)
    assert problems(done.stdout) == [("type-error", 2)]


def test_the_encoding_of_the_descriptor_is_used(csv):
    Path("people.csv").write_bytes("id,name\n1,Zoë\n".encode("utf-16-le"))
    schema = csv(
        json.dumps(
            {
                "encoding": "utf-16",
                "schema": {"fields": [{"name": "name", "constraints": {"enum": ["Zoë"]}}]},
            }
        ),
        "resource.json",
    )
    assert aircan("validate", "people.csv", "--schema", schema).exit_code == 0


def test_a_source_that_is_lost_is_not_an_invalid_file():
    content = b"id,name\n" + b"1,somebody\n" * 500_000
    with HttpServer(
        content, etag=None, last_modified=None, drop_after=5_000_000, drops=1
    ) as server:
        done = aircan("validate", server.url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "cannot be resumed safely" in done.stderr


# Exit codes of all errors


def every_error(kind: type = errors.AircanError) -> Iterator[type]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from every_error(below)


@pytest.mark.parametrize("kind", list(every_error()), ids=lambda kind: kind.__name__)
def test_wrong_usage_exits_with_2_and_everything_else_with_1(kind, capsys):
    with pytest.raises(cli.typer.Exit) as left, output.errors(debug=False):
        raise kind("what is wrong", hint="what to do")
    assert left.value.exit_code == (2 if kind is errors.UsageError else 1)
    assert capsys.readouterr() == ("", "aircan: what is wrong\n  hint: what to do\n")


COMMANDS = [
    ("--help",),
    ("load", "--help"),
    ("--version",),
    ("load", "t.csv"),
    ("load", "t.csv", "--json"),
    ("infer", "t.csv"),
    ("validate", "t.csv"),
    ("cleanup",),
]
# What the shell does with the output, and what is said of it.
LOST = {
    ">/dev/full": "No space left on device",
    ">&-": "it is closed",
    "<&- >&- 2>&-": None,
}
# All commands have the same streams: closed ones are tried with some.
LOSING = [
    *((command, ">/dev/full") for command in COMMANDS),
    *((command, ">&-") for command in COMMANDS[1::3]),
    *((command, "<&- >&- 2>&-") for command in COMMANDS[::3]),
]


def in_shell(command: tuple[str, ...], streams: str, **options) -> subprocess.CompletedProcess:
    line = f"exec {shlex.join([*ARGV, *command])} {streams}"
    return subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, **options)


@pytest.mark.parametrize(("command", "streams"), LOSING, ids=str)
def test_whatever_is_printed_and_lost_is_told_and_the_work_is_done(
    csv, named, orphan, database_18, command, streams
):
    csv("n\n1\n", "t.csv")
    done = in_shell(command, streams)
    assert (done.returncode, done.stdout) == (1, "")
    if LOST[streams]:
        assert done.stderr.splitlines()[-2:] == [
            f"aircan: the output cannot be written: {LOST[streams]}",
            "  hint: it is done all the same, unless an error stands above",
        ]
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    if command[:2] == ("load", "t.csv"):
        assert rows_of(database_18, "t") == [(1,)]
    assert shadows(database_18) == ([] if command == ("cleanup",) else [orphan])


@pytest.mark.parametrize("command", COMMANDS[1::2], ids=" ".join)
def test_a_reader_that_is_gone_is_no_fault_and_the_work_is_done(csv, named, database_18, command):
    csv("n\n1\n", "t.csv")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*ARGV, *command], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.returncode == 1
    assert "aircan:" not in done.stderr
    assert "Traceback" not in done.stderr
    if command[:2] == ("load", "t.csv"):
        assert rows_of(database_18, "t") == [(1,)]


def test_cleanup_goes_on_when_its_output_is_lost(named, database_18):
    for resource_id in ("killed", "killed too", "and a third"):
        shadow.create(
            relation.Relation(database_18, relation.name(resource_id)), [Column("a", "text")], None
        )
    done = in_shell(("cleanup",), ">/dev/full")
    assert (done.returncode, shadows(database_18)) == (1, [])


UNHEARD = [
    (("load", "t.csv", "--json"), 0),
    (("load", "t.csv", "--json", "--debug"), 0),
    (("validate", "t.csv"), 0),
    (("cleanup",), 0),
    (("load", "none.csv", "--json"), 1),
    (("load", "none.csv", "--debug"), 1),
    (("load", "t.csv", "--schema", "none.json"), 2),
    (("nothing",), 2),
]


@pytest.mark.parametrize(
    ("command", "code", "streams"),
    [
        *((command, code, "2>/dev/full") for command, code in UNHEARD),
        *((command, code, "<&- 2>&-") for command, code in UNHEARD[1::3]),
    ],
    ids=str,
)
def test_where_nothing_can_be_said_the_work_is_done_all_the_same(
    csv, named, database_18, command, code, streams
):
    csv("n\n1\n", "t.csv")
    done = in_shell(command, streams)
    assert (done.returncode, done.stderr) == (code, "")
    if command[:3] == ("load", "t.csv", "--json"):
        assert json.loads(done.stdout)["rows"] == 1  # and nothing but the report is there
        assert rows_of(database_18, "t") == [(1,)]
    elif command[0] == "validate" or "--json" in command:
        json.loads(done.stdout)


def test_progress_that_nobody_reads_any_more_stops_no_load(named, database_18):
    rows = b"id,name\n" + b"1,somebody\n" * 400_000
    with HttpServer(rows, bytes_per_s=3_000_000) as server:
        process = subprocess.Popen(
            [*ARGV, "load", server.url, "--resource-id", "people", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr.readline() == "reading the header\n"
        process.stderr.close()
        told = process.stdout.read()
    assert process.wait(60) == 0
    assert json.loads(told)["rows"] == len(rows_of(database_18, "people")) == 400_000


def test_a_pipe_that_does_not_wait_loses_nothing(csv):
    wide = csv(",".join(f"column {i}" for i in range(1500)) + "\n")
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = subprocess.Popen([*ARGV, "infer", wide], stdout=writing)
    os.close(writing)
    with open(reading) as pipe:  # noqa: PTH123  (a descriptor)
        select.select([pipe], [], [])
        time.sleep(0.5)  # by then the pipe is full
        told = json.loads(pipe.read())
    assert process.wait(60) == 0
    assert len(told["schema"]["fields"]) == 1500


def test_an_error_is_told_even_if_its_report_cannot_be_written(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "loader", "load", "none.csv", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            text=True,
            env=os.environ | {"AIRCAN_DATASTORE_URL": "postgresql://127.0.0.1:9/x"},
        )
    assert done.returncode == 1
    assert any(line.startswith("aircan: ") for line in done.stderr.splitlines()[:-2])


# name: the file, arguments, how the hint ends
HINTS = {
    "an encoding": (b"a,b\n1,\xff\xfe\x00\n", ["--encoding", "ascii"], " (--encoding)"),
    "rows set aside": (b"a,b\n1,2,3\n", ["--max-bad-rows", "0"], " (--max-bad-rows)"),
    "a header": (b"not found\n", [], " (--header-row)"),
    "a key": (b"a,b\n1,2\n1,3\n", ["--key", "a"], " (--key)"),
    "a database": (
        b"a\n1\n",
        ["--datastore-url", "mysql://a/b"],
        "@HOST:PORT/DATABASE (AIRCAN_DATASTORE_URL)",
    ),
}


@pytest.mark.parametrize(("content", "arguments", "end"), HINTS.values(), ids=HINTS)
def test_a_hint_ends_with_the_option_as_the_command_has_it(
    tmp_path, monkeypatch, named, content, arguments, end
):
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_bytes(content)
    done = aircan("load", "data.csv", *arguments)
    [hint] = [line for line in done.stderr.splitlines() if line.startswith("  hint: ")]
    assert hint.endswith(end)
