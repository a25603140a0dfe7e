"""How a load is to be done: what cannot be is refused at once, and what is left open is found."""

import os

import pytest

from loader.errors import UsageError
from loader.options import Options, default_lanes, default_resource_id

# uri: the table's name
NAMES = {
    "trips.csv": "trips",
    "Street Trees.CSV": "street_trees",
    "trips.csv.gz": "trips",
    "trips.tsv.zst": "trips",
    "trips.2020.csv": "trips_2020",
    "trips.2021.csv": "trips_2021",
    "v1.5 (final).tab": "v1_5_final",
    "/a/b.c/no ending": "no_ending",
    "größe.txt.bz2": "größe",
    "_hidden_.csv": "hidden",
    ".csv": "table",
    "x" * 60 + ".csv": "x" * 48,
    "https://example.org/data/My%20Trips.csv.gz?sig=a.b#c": "my_trips",
    "gs://bucket/a/2024.01.csv": "2024_01",
    "https://example.org": "example_org",
    "gs://b/o?sig=hunter2": "o_sig",
    "https://h/x.csv;jsessionid=hunter2": "x_csv_jsessionid",
    "https://h/x%3Fsig=hunter2": "x_sig",
    "http:/u:hunter2@127.0.0.1:1/": "127_0_0_1_1",
    "https//u:hunter2@h/x?sig=hunter2": "x_sig",
}


@pytest.mark.parametrize(("uri", "name"), NAMES.items(), ids=NAMES.keys())
def test_a_table_is_named_for_its_file(uri, name):
    assert default_resource_id(uri) == name


# what is given: words of the message and of the hint
WRONG = {
    "full_text": ({"full_text": "gin"}, "full_text cannot be 'gin'", "all, text, none"),
    "fts_index": ({"fts_index": "btree"}, "fts_index cannot be 'btree'", "gin, gist, none"),
    "on_type_error": ({"on_type_error": None}, "on_type_error cannot be None", "fail, widen"),
    "on_concurrent_writes": (
        {"on_concurrent_writes": "ask"},
        "on_concurrent_writes cannot be 'ask'",
        "warn, keep, refuse",
    ),
    "no lanes": ({"lanes": 0}, "lanes cannot be 0", "from 1 to 64"),
    "too many lanes": ({"lanes": 65}, "lanes cannot be 65", "from 1 to 64"),
    "half a lane": ({"lanes": 1.5}, "lanes cannot be 1.5", "from 1 to 64"),
    "max_bad_rows": ({"max_bad_rows": -1}, "max_bad_rows cannot be -1", "0 or more"),
    "no max_bad_rows": ({"max_bad_rows": None}, "max_bad_rows cannot be None", "0 or more"),
    "header_row": ({"header_row": -1}, "header_row cannot be -1", "0 for none"),
    "a header or none": ({"header_row": True}, "header_row cannot be True", "0 for none"),
    "encoding": ({"encoding": b"utf-8"}, "encoding cannot be of type bytes", "a string"),
    "delimiter": ({"delimiter": 9}, "delimiter cannot be of type int", "a string"),
    "resource_id": ({"resource_id": 7}, "resource_id cannot be of type int", "a string"),
    "datastore_url": ({"datastore_url": 5}, "datastore_url cannot be of type int", "a string"),
    "schema": ({"schema": "s.json"}, "schema cannot be of type str", "as a dict; json.load"),
    "schema's fields": ({"schema": []}, "schema cannot be of type list", "as a dict; json.load"),
    "dialect": ({"dialect": "excel"}, "dialect cannot be of type str", "as a dict"),
    "key": ({"key": iter([])}, "key cannot be of type list_iterator", "a sequence"),
    "no key": ({"key": None}, "key cannot be of type NoneType", "a sequence"),
    "no source": ({"source": None}, "source cannot be of type NoneType", "SourceSettings"),
    "source": ({"source": {}}, "source cannot be of type dict", "SourceSettings"),
    "batches": ({"batches": 3}, "batches cannot be of type int", "BatchSettings"),
    "types": ({"types": "text"}, "types cannot be 'text'", "auto, strict"),
    "dates": ({"dates": "ymd"}, "dates cannot be 'ymd'", "auto, dmy, mdy, iso"),
    "decimal": ({"decimal": ","}, "decimal cannot be ','", "auto, comma, point"),
    "missing": ({"missing": True}, "missing cannot be True", "keep, auto"),
    "keep_types": ({"keep_types": "no"}, "keep_types cannot be of type str", "True or False"),
    "strip": ({"strip": 1}, "strip cannot be of type int", "True or False"),
    "default_encoding": (
        {"default_encoding": 1252},
        "default_encoding cannot be of type int",
        "a string, or None",
    ),
    "rejects": ({"rejects": 5}, "rejects cannot be of type int", "a path"),
}


@pytest.mark.parametrize(("given", "words", "hint"), WRONG.values(), ids=WRONG.keys())
def test_a_value_that_cannot_be_is_wrong_usage(given, words, hint):
    with pytest.raises(UsageError) as refused:
        Options(**given)
    assert str(refused.value) == words
    assert hint in refused.value.hint
    assert refused.value.option == next(iter(given))


def test_the_ends_of_a_range_are_in_it():
    assert Options(lanes=1, max_bad_rows=0, header_row=0).lanes == 1
    assert Options(lanes=64).lanes == 64


def test_the_password_of_the_datastore_is_not_shown():
    options = Options("trips", "postgresql://writer:hunter2@db/datastore")
    assert "hunter2" not in repr(options)
    assert "resource_id='trips'" in repr(options)


def test_there_is_a_lane_for_each_core_that_may_be_used():
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert default_lanes() == 1
    finally:
        os.sched_setaffinity(0, cores)
    assert default_lanes() == min(len(cores), 4)
