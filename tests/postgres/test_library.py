"""`from loader import load`: the report as an object, errors as exceptions, progress as told."""

import json
import threading
from pathlib import Path

import psycopg
import pytest
from datastore import rows_of, shadows
from http_server import HttpServer

from loader import AircanError, Options, Report, errors, load
from loader.embedded import server
from loader.net.limits import Limits
from loader.net.settings import SourceSettings


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text("id,name\n1,Ann\n2,Bo\n")
    return "people.csv"


def test_a_load_returns_its_report(people, datastore_url, database):
    report = load(people, datastore_url=datastore_url)
    assert isinstance(report, Report)
    assert (report.resource_id, report.source, report.rows, report.bytes) == (
        *("people", "people.csv"),
        *(2, 19),
    )
    assert [(column["id"], column["type"]) for column in report.columns] == [
        ("id", "bigint"),
        ("name", "text"),
    ]
    assert report.error is None
    assert report.hash is None  # which only CKAN asks for
    assert 0 < report.timings_s["copy"] < report.timings_s["total"]
    assert report.rows_per_second == round(2 / report.timings_s["total"])
    assert rows_of(database, "people") == [(1, "Ann"), (2, "Bo")]


def test_the_report_is_json(people, datastore_url_18):
    report = load(people, datastore_url=datastore_url_18)
    assert json.loads(json.dumps(report.to_dict()))["rows"] == 2


def test_options_are_keywords(people, datastore_url_18, database_18):
    load(
        people,
        datastore_url=datastore_url_18,
        resource_id="others",
        header_row=0,
        schema={"fields": [{"name": "column_2", "type": "string"}]},
        lanes=1,
    )
    assert rows_of(database_18, "others") == [("id", "name"), ("1", "Ann"), ("2", "Bo")]


def test_every_option_is_a_keyword(people, datastore_url_18):
    """Also `source`, which is the name of what is loaded, too."""
    options = vars(Options(datastore_url=datastore_url_18))
    assert load(people, **options).rows == 2
    with pytest.raises(errors.SourceTooLarge):
        load(people, **options | {"source": SourceSettings(limits=Limits(max_bytes=10))})


def test_a_keyword_that_there_is_not_is_a_type_error(people):
    with pytest.raises(TypeError, match="lane"):
        load(people, lane=2)


def test_the_datastore_is_found_in_the_environment(
    people, datastore_url_18, database_18, monkeypatch
):
    monkeypatch.setenv("AIRCAN_DATASTORE_URL", datastore_url_18)
    load(people)
    assert len(rows_of(database_18, "people")) == 2


def test_without_a_datastore_the_embedded_one_is_used(people, data_folder):
    load(people)
    with psycopg.connect(server.start()) as connection:
        assert len(rows_of(connection, "people")) == 2


def test_an_error_tells_where_and_how_far_the_load_came(people, datastore_url_18, database_18):
    load(people, datastore_url=datastore_url_18)
    Path(people).write_text("id,name\n3,Cy\nfour,Di\n")
    schema = {"fields": [{"name": "id", "type": "integer"}]}
    with pytest.raises(errors.ValueDoesNotFit) as caught:
        load(people, datastore_url=datastore_url_18, schema=schema)
    error = caught.value
    assert (error.row, error.column, error.value, error.retryable) == (3, "id", "four", False)
    assert error.report.error is error
    assert error.report.columns[0]["type"] == "bigint"
    assert error.report.bytes == 21
    assert rows_of(database_18, "people") == [(1, "Ann"), (2, "Bo")]


@pytest.mark.usefixtures("hurried")
def test_an_error_tells_whether_a_retry_can_help(people, datastore_url_18):
    with pytest.raises(AircanError) as nobody_listens:
        load(people, datastore_url="postgresql://127.0.0.1:1/d")
    assert nobody_listens.value.retryable
    with pytest.raises(AircanError) as no_such_file:
        load("nowhere.csv", datastore_url=datastore_url_18)
    assert not no_such_file.value.retryable


def test_the_report_of_a_wrong_url_is_there_too(people):
    with pytest.raises(errors.UsageError) as caught:
        load(people, datastore_url="mysql://h/d")
    assert caught.value.report.to_dict()["error"]["type"] == "UsageError"


class Told:
    """Remembers what it is told, and by which threads."""

    def __init__(self) -> None:
        self.said: list[tuple] = []
        self.threads: set[threading.Thread] = set()

    def _note(self, *what: object) -> None:
        self.said.append(what)
        self.threads.add(threading.current_thread())

    def begin(self, title: str) -> None:
        self._note("begin", title)

    def expect(self, size: int | None) -> None:
        self._note("expect", size)

    def advance(self, bytes_read: int, rows: int) -> None:
        self._note("advance", bytes_read, rows)


def test_progress_is_told_of_every_step_in_one_thread(people, datastore_url_18):
    told = Told()
    load(people, datastore_url=datastore_url_18, progress=told)
    assert told.said == [
        ("begin", "reading the header"),
        ("expect", 19),
        ("begin", "copying rows"),
        ("advance", 19, 2),
        ("begin", "adding the primary key"),
        ("begin", "swapping the tables"),
        ("begin", "indexing the full text"),
        ("begin", "analysing the table"),
    ]
    assert told.threads == {threading.current_thread()}


def test_progress_of_a_source_that_tells_no_size(people, datastore_url_18):
    told = Told()
    with HttpServer(Path(people).read_bytes(), length=False) as server:
        load(server.url, datastore_url=datastore_url_18, resource_id="people", progress=told)
    assert ("expect", None) in told.said


class Interrupted(Told):
    """Ctrl-C, at the first block."""

    def advance(self, bytes_read: int, rows: int) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_is_an_error_like_others_and_leaves_nothing(
    people, datastore_url_18, database_18
):
    load(people, datastore_url=datastore_url_18)
    Path(people).write_text("id,name\n3,Cy\n")
    with pytest.raises(errors.Cancelled) as caught:
        load(people, datastore_url=datastore_url_18, progress=Interrupted())
    assert caught.value.report.resource_id == "people"
    assert rows_of(database_18, "people") == [(1, "Ann"), (2, "Bo")]
    assert shadows(database_18) == []


def test_options_cannot_be_changed_afterwards():
    with pytest.raises(AttributeError):
        Options().lanes = 2
