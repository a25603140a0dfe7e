"""A database takes so many loads at a time, and lets a small file pass a huge one."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from loader import load
from loader.copy import slots
from loader.errors import TooManyLoads, UsageError


def opened(url: str, stack: ExitStack) -> psycopg.Connection:
    return stack.enter_context(closing(psycopg.connect(url, autocommit=True)))


def test_as_many_loads_as_there_are_slots(datastore_url):
    with ExitStack() as stack:
        for _ in range(2):
            slots.take(opened(datastore_url, stack), 2)
        with pytest.raises(TooManyLoads, match="2 loads into this database"):
            slots.take(opened(datastore_url, stack), 2)


def test_a_slot_is_free_again_when_its_load_has_ended(datastore_url_18):
    with ExitStack() as stack:
        slots.take(opened(datastore_url_18, stack), 1)
    with ExitStack() as stack:
        slots.take(opened(datastore_url_18, stack), 1)


def test_huge_files_leave_a_slot_to_small_ones(datastore_url_18):
    with ExitStack() as stack:
        slots.take(opened(datastore_url_18, stack), 1)
        with pytest.raises(TooManyLoads):
            slots.take(opened(datastore_url_18, stack), 1)
        slots.take(opened(datastore_url_18, stack), 2)


def test_small_files_leave_the_slots_of_huge_ones_as_long_as_they_can(datastore_url_18):
    with ExitStack() as stack:
        slots.take(opened(datastore_url_18, stack), 2)
        slots.take(opened(datastore_url_18, stack), 1)


def test_a_load_that_finds_no_slot_changes_nothing(datastore_url_18, tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n")
    options = {"resource_id": "a", "datastore_url": datastore_url_18, "max_loads": 1}
    with ExitStack() as stack:
        slots.take(opened(datastore_url_18, stack), 1)
        with pytest.raises(TooManyLoads) as refused:
            load(file, **options)
        assert refused.value.retryable
        with psycopg.connect(datastore_url_18) as connection:
            assert connection.execute("SELECT to_regclass('a')").fetchone() == (None,)
    assert load(file, **options).rows == 1


@pytest.mark.parametrize("most", [0, -1, "2", True])
def test_what_is_no_number_of_loads(most):
    with pytest.raises(UsageError, match="max_loads"):
        load("a.csv", max_loads=most)
