"""The documentation says what the code does: its examples are run, its tables are checked."""

import ast
import csv
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import fields
from datetime import datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from datastore import rows_of
from typer.main import get_command
from typer.testing import CliRunner

from loader import Options, errors, load
from loader.cli import commands as cli
from loader.formats.csv.text import decode
from loader.formats.readable import read_fully
from loader.options import Options as AllOptions
from loader.report import TABLE_STATES, Report
from loader.scan.head import read

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
DECISIONS = sorted((DOCS / "decisions").glob("[!R]*.md"))
PEOPLE = "name,born,height_cm\nAda,1815-12-10,165\nAlan,1912-06-23,171.5\nGrace,1906-12-09,\n"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """Return the fenced blocks of a page."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text(name), re.DOTALL | re.MULTILINE)
    return [content for kind, content in fenced if kind == language]


def table(name: str) -> list[list[str]]:
    """Return the rows of all tables of a page, as cells."""
    lines = [line for line in text(name).splitlines() if re.match(r"\| *[`\[\w]", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def named(page: Path) -> str:
    """Return a page's name in the tests' ids."""
    return str(page.relative_to(ROOT))


def quoted(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The command line


def commands() -> Iterator[tuple[str, ...]]:
    yield ()
    for name, command in get_command(cli.app).commands.items():
        yield (name,)
        yield from ((name, below) for below in getattr(command, "commands", ()))


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_the_help_of_every_command_is_in_the_docs(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = CliRunner().invoke(cli.app, [*command, "--help"], prog_name="aircan", terminal_width=80)
    shown = f"$ {' '.join(['aircan', *command, '--help'])}\n{said.stdout.strip()}\n"
    assert shown in blocks("docs/command-line.md", "")


def test_every_key_of_the_json_report_is_explained():
    example = json.loads(blocks("docs/command-line.md", "json")[0])
    report = Report("r", "s")
    report.error = errors.UsageError("wrong")
    real = report.to_dict()
    assert list(example) == list(real)
    assert list(example["bad_rows"]) == list(real["bad_rows"])
    assert list(example["timings_s"]) == list(real["timings_s"])
    explained = {key for row in table("docs/command-line.md") for key in quoted(" ".join(row))}
    nested = {*real["bad_rows"], *real["timings_s"], *real["error"], *example["columns"][0]}
    assert {*real, *nested} <= explained


def test_every_environment_variable_that_is_read_is_in_the_docs():
    read_by_us = set()
    for path in [*(ROOT / "loader").rglob("*.py"), *(ROOT / "dags").glob("*.py")]:
        named = r'os\.environ(?:\.get\(|\[)"([A-Z_]+)"|"(AIRCAN_[A-Z_]+)"'
        read_by_us |= {a or b for a, b in re.findall(named, path.read_text("utf-8"))}
    assert {"AIRCAN_DATASTORE_URL", "AIRCAN_MAX_LOADS", "STORAGE_EMULATOR_HOST"} <= read_by_us
    pages = ("docs/command-line.md", "docs/factory.md")
    explained = {name for page in pages for row in table(page) for name in quoted(row[0])}
    assert read_by_us - {"PATH"} <= explained


# The library


def test_the_examples_of_the_library_print_what_the_docs_say(folder, datastore_url_18, monkeypatch):
    monkeypatch.setenv("AIRCAN_DATASTORE_URL", datastore_url_18)
    (folder / "people.csv").write_text(PEOPLE)
    examples, printed = blocks("docs/library.md", "python"), blocks("docs/library.md", "")
    assert len(examples) == len(printed) == 3
    for example, expected in zip(examples, printed, strict=True):
        out = StringIO()
        with redirect_stdout(out):
            exec(example, {})  # noqa: S102  our own page
        assert out.getvalue() == expected


def test_every_option_of_the_library_is_in_the_docs():
    explained = {name for row in table("docs/library.md") for name in quoted(row[0])}
    assert {option.name for option in fields(AllOptions)} <= explained
    assert Options is AllOptions


# Types


def type_examples() -> list[tuple[list[str], str]]:
    """Return the values and the type of each line of the first table of types.md."""
    section = text("docs/types.md").split("\n## ")[1]
    lines = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    # A space at a value's end is part of it.
    return [(re.findall("`([^`]+)`", line[0]), quoted(line[1])[0]) for line in lines]


@pytest.mark.parametrize(("values", "kind"), type_examples(), ids=str)
def test_values_become_the_type_that_the_docs_say(folder, values, kind):
    with (folder / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["k", "v"], *(["k", value] for value in values)])
    with (folder / "a.csv").open("rb") as file:
        reading = read(file, Options().reading)
        assert reading.columns[1].type == kind


def test_the_types_page_has_a_table():
    assert len(type_examples()) > 25


def as_people_write() -> list[tuple[list[str], str, str, list[str]]]:
    """Return values, type, ``read_as`` and what comes back, of each line of that table."""
    heading = "## Dates and numbers as people write them"
    section = text("docs/types.md").split(heading)[1].split("\n## ")[0]
    lines = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [
        (quoted(values), quoted(kind)[0], quoted(read_as)[0], quoted(back))
        for values, kind, read_as, back in lines
    ]


@pytest.mark.parametrize(("values", "kind", "read_as", "back"), as_people_write(), ids=str)
def test_values_are_read_as_the_docs_say(
    folder, datastore_url_18, database_18, values, kind, read_as, back
):
    with (folder / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["v", "k"], *([value, "k"] for value in values)])
    report = load("a.csv", datastore_url=datastore_url_18, resource_id="a")
    assert (report.columns[0]["type"], report.columns[0]["read_as"]) == (kind, read_as)
    rows = database_18.execute("SELECT v::text FROM a ORDER BY _id").fetchall()
    assert [row[0] for row in rows] == back


def written_otherwise() -> list[list[str]]:
    """Return type, value and what comes back, of each line of the table of types.md."""
    section = (
        text("docs/types.md").split("## What comes back written otherwise")[1].split("\n## ")[0]
    )
    return [quoted(line) for line in section.splitlines() if line.startswith("| `")]


# type: as frictionless calls it
DECLARED = {"timestamp": "datetime", "timestamptz": "datetime"}


@pytest.mark.parametrize(("kind", "value", "shown"), written_otherwise(), ids=str)
@pytest.mark.parametrize("declared", [False, True])
def test_values_come_back_as_the_docs_say(
    folder, datastore_url, database, kind, value, shown, declared
):
    schema = {"fields": [{"name": "v", "type": DECLARED.get(kind, kind)}]} if declared else None
    (folder / "a.csv").write_text(f"k,v\nk,{value}\n")
    report = load("a.csv", datastore_url=datastore_url, schema=schema, resource_id="a")
    assert report.columns[1]["type"] == kind
    database.execute("SET timezone TO 'UTC'")
    assert database.execute("SELECT v::text FROM a").fetchone() == (shown,)


def test_a_moment_in_a_column_that_is_declared_as_text_keeps_its_zeros(
    folder, datastore_url_18, database_18
):
    schema = {"fields": [{"name": "v", "type": "string"}]}
    values = [value for _, value, _ in written_otherwise()]
    assert len(values) > 5
    (folder / "a.csv").write_text("\n".join(["v", *values]))
    load("a.csv", datastore_url=datastore_url_18, schema=schema, resource_id="a")
    assert [row[0] for row in rows_of(database_18, "a")] == values


def test_the_schema_of_the_types_page_loads_what_it_says(folder, datastore_url_18, database_18):
    schema = json.loads(blocks("docs/types.md", "json")[0])
    (folder / "a.csv").write_text('day,price,open,count\n31/12/2020,"1.234,50",yes,N/A\n-,,no,7\n')
    load("a.csv", datastore_url=datastore_url_18, schema=schema, resource_id="a")
    rows = [[None if v is None else str(v) for v in row] for row in rows_of(database_18, "a")]
    assert rows == [["2020-12-31", "1234.50", "True", None], [None, None, "False", "7"]]


# Encodings


def encoded() -> list[list[str]]:
    """Return the text, bytes and encoding of each line of the first table of encodings.md."""
    lines = text("docs/encodings.md").splitlines()
    return [quoted(line)[:3] for line in lines if re.match(r"\| `.*` \| `[0-9a-f]{2} ", line)]


@pytest.mark.parametrize(("words", "data", "encoding"), encoded(), ids=str)
def test_bytes_are_read_as_the_docs_say(words, data, encoding):
    stream = decode(BytesIO(b"id,v\n1," + bytes.fromhex(data) + b"\n"))
    assert read_fully(stream, 100).decode() == f"id,v\n1,{words}\n"
    assert stream.encoding == encoding


def test_the_encodings_page_has_a_table():
    assert len(encoded()) > 7


@pytest.mark.parametrize(
    ("name", "encoding", "default"),
    [("\u05d7\u05d5\u05dc\u05d5\u05df", "cp1255", None), ("Cefalù", "mac_roman", "mac_roman")],
)
def test_the_encoding_found_is_told_as_the_docs_say(
    folder, datastore_url_18, name, encoding, default
):
    (folder / "a.csv").write_bytes(f"id,v\n1,{name}\n".encode(encoding))
    report = load(
        "a.csv", datastore_url=datastore_url_18, resource_id="a", default_encoding=default
    )
    (told,) = [one for one in report.warnings if "encoding" in one]
    assert f"`{told}`" in text("docs/encodings.md")


# Errors


def names_of_errors(row: list[str]) -> list[str]:
    return [name for name in quoted(row[0])[:1] if name[0].isupper()]


@pytest.mark.parametrize("page", ["docs/errors.md", "docs/library.md"])
def test_the_docs_say_what_may_have_become_of_a_table(page):
    told = [name for row in table(page) for name in quoted(row[0])]
    assert [name for name in told if name in TABLE_STATES] == list(TABLE_STATES)


def test_every_error_is_in_the_docs_and_no_other():
    defined = {
        node.name
        for node in ast.parse(text("loader/errors.py")).body
        if isinstance(node, ast.ClassDef)
    }
    assert {name for row in table("docs/errors.md") for name in names_of_errors(row)} == defined


def test_the_docs_say_which_errors_are_retryable():
    for row in table("docs/errors.md"):
        for name in names_of_errors(row):
            assert ("; retryable" in row[1]) == getattr(errors, name).retryable, name


# README


def masked(output: str) -> list[str]:
    """Return the lines with what differs from run to run masked."""
    return [
        re.sub(r"in [\d.]+ s \([\d,]+ rows/s\)", "in N s (N rows/s)", line).rstrip()
        for line in output.strip().splitlines()
    ]


def shown_by(command: str) -> list[str]:
    """Return what README shows as the output of a load, without the line that queries it."""
    block = next(block for block in blocks("README.md", "") if f"$ {command}\n" in block)
    shown = block.split(f"$ {command}\n")[1].split("\nQuery it:")[0]
    return masked(shown)


def readings() -> str:
    """The file of README: 150,000 readings, one below the limit, one with a cell too many."""
    lines = ["station,measured_at,no2,pm10"]
    for i in range(150_000):
        at = datetime(2024, 1, 1) + timedelta(minutes=10 * (i // 3))  # noqa: DTZ001  as in a CSV
        station = f"{'ABC'[i % 3]}{i % 3 + 1:02}"
        lines.append(f"{station},{at},{10 + i % 41},{8 + i % 17}.{i % 10}")
        if i == 140_000:
            lines.append(f"C03,{at},<5,12.0")
        if i == 145_000:
            lines.append(f"C03,{at},12,0,11.5")
    return "\n".join(lines) + "\n"


def test_readme_shows_what_a_load_says(folder, datastore_url_18, monkeypatch):
    monkeypatch.setenv("AIRCAN_DATASTORE_URL", datastore_url_18)
    (folder / "readings.csv").write_text(readings())
    done = CliRunner().invoke(cli.app, ["load", "readings.csv"])
    assert masked(done.stderr + done.stdout) == shown_by("aircan load readings.csv")


def test_readme_shows_what_the_demo_says(folder, datastore_url_18, monkeypatch):
    monkeypatch.setenv("AIRCAN_DATASTORE_URL", datastore_url_18)
    sample = "samples/street-trees.csv"
    done = CliRunner().invoke(cli.app, ["load", str(ROOT / sample)])
    assert masked(done.stderr + done.stdout) == shown_by(f"aircan load {sample}")


# The extension

EXTENSION = ROOT / "ckanext-aircan" / "ckanext" / "aircan"


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    yield from (
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    )


def declared() -> dict[str, str]:
    """Return the options of the extension, and the default of each, or nothing."""
    options = (EXTENSION / "config_declaration.yaml").read_text("utf-8")
    return dict(re.findall(r"- key: ckanext\.aircan\.(\w+)\n(?: +default: (.*)\n)?", options))


def test_every_option_of_the_extension_is_in_the_docs_with_its_default():
    options = declared()
    rows = {quoted(row[0])[0]: row[1] for row in table("docs/extension.md") if quoted(row[0])}
    assert options.keys() <= rows.keys()
    for name, default in options.items():
        assert not default or quoted(rows[name]) == [default], name


def test_no_page_names_an_option_of_the_extension_that_there_is_not():
    for page in (*PAGES, ROOT / "ckanext-aircan" / "README.md"):
        named = set(re.findall(r"ckanext\.aircan\.([a-z_]+)", page.read_text("utf-8")))
        assert named - {"interfaces"} <= declared().keys(), page.name


@pytest.mark.parametrize(
    ("module", "form"),
    [
        ("logic/action.py", "{}"),
        ("cli.py", "`ckan aircan {}"),
        ("interfaces.py", "def {}(self, "),
    ],
)
def test_every_action_command_and_hook_of_the_extension_is_in_the_docs(module, form):
    names = [function.name for function in functions(EXTENSION / module)]
    if module == "cli.py":
        names.remove("aircan")  # the group
    assert len(names) > 2
    for name in names:
        assert form.format(name) in text("docs/extension.md"), name


# All pages


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if target.startswith(("https://", "http://localhost:")):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name) if name else page
        assert found.is_file(), target
        if not anchor:
            continue
        headings = re.findall(r"^#+ (.*)$", found.read_text("utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
        assert anchor in anchors, target


def test_every_module_is_in_the_table_of_how_it_works():
    names = {name for row in table("docs/how-it-works.md") for name in quoted(row[0])}
    below = [path.relative_to(ROOT / "loader") for path in (ROOT / "loader").rglob("*.py")]
    modules = {
        ".".join(path.with_suffix("").parts)
        for path in below
        if not path.parts[-1].startswith("__") and path.parts[0] not in ("factory", "source", "net")
    }
    described_elsewhere = {"errors", "options", "pipeline.load"}
    assert described_elsewhere <= modules
    assert modules - described_elsewhere <= names
    rooms = {"factory", "source", "net"}
    assert names <= modules | rooms


# For those who change it


def test_every_target_of_make_that_a_page_names_is_one():
    targets = set(re.findall(r"^([a-z-]+):.*## ", text("Makefile"), re.MULTILINE))
    named_targets = {
        name for page in PAGES for name in re.findall(r"`make ([a-z-]+)`", page.read_text("utf-8"))
    }
    assert {"lint", "types", "coverage"} <= named_targets
    assert named_targets <= targets


def test_the_tests_that_the_page_for_contributors_runs_are_there():
    paths = re.findall(r"(?:pytest|python) (tests/[\w/.]+)", text("CONTRIBUTING.md"))
    assert len(paths) > 4
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_page_for_contributors_fits_a_screen():
    assert len(text("CONTRIBUTING.md").splitlines()) <= 45


def test_every_decision_is_in_their_list_and_no_other():
    listed = re.findall(
        r"^\| \[[^]]+\]\(([\w-]+\.md)\)", text("docs/decisions/README.md"), re.MULTILINE
    )
    assert sorted(listed) == [page.name for page in DECISIONS]


@pytest.mark.parametrize("page", DECISIONS, ids=named)
def test_a_decision_has_its_parts_and_is_short(page):
    lines = page.read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("## ")] == [
        "## Context",
        "## Decision",
        "## Reasons",
        "## What it costs, and what was tried",
        "## Where",
    ]
    assert len(lines) <= 60
