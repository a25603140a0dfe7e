"""The one retry: how many tries there are, how long it waits between them, and that all use it."""

from __future__ import annotations

import ast
import random
import time
from typing import Any

import pytest
from imports import sources

from loader.net.retry import Attempts, Backoff

TINY = Backoff(0.001, 0.002)
# name: how long it waits, what limits the tries, how many there are
LIMITS: dict[str, tuple[Backoff, dict[str, float], int]] = {
    "by their number": (TINY, {"retries": 3}, 4),
    "none after the first": (TINY, {"retries": 0}, 1),
    "no time": (TINY, {"limit_s": 0.0}, 1),
    "no wait": (TINY, {"waits_s": 0.0}, 1),
    "a part of a wait": (Backoff.steady(600.0), {"waits_s": 0.01}, 2),
    "some waits and a part": (Backoff.steady(0.01), {"waits_s": 0.035}, 5),
    "whichever comes first": (TINY, {"retries": 2, "limit_s": 600.0, "waits_s": 600.0}, 3),
}


@pytest.mark.parametrize(("backoff", "limits", "tries"), LIMITS.values(), ids=LIMITS)
def test_how_many_tries_there_are(backoff: Backoff, limits: dict[str, Any], tries: int):
    assert sum(1 for _ in Attempts(backoff, **limits)) == tries


def test_the_last_try_is_at_the_limit_and_not_before():
    """What comes true in the last moment is seen."""
    began = time.monotonic()
    for _ in Attempts(Backoff.steady(0.04), limit_s=0.1):
        last = time.monotonic()
    assert last - began > 0.099  # the third wait is of 0.02 s


# name: the backoff, failures in a row, the wait asked for, the shortest and the longest wait
WAITS = {
    "the first": (Backoff(2.0, 60.0), 1, 0.0, 1.0, 2.0),
    "doubled": (Backoff(2.0, 60.0), 4, 0.0, 8.0, 16.0),
    "the longest": (Backoff(2.0, 60.0), 9, 0.0, 30.0, 60.0),
    "without end": (Backoff(2.0), 9, 0.0, 256.0, 512.0),
    "after thousands": (Backoff(2.0, 60.0), 5_000, 0.0, 30.0, 60.0),
    "asked for": (Backoff(2.0, 60.0), 1, 40.0, 40.0, 40.0),
    "more than the longest is asked for": (Backoff(2.0, 60.0), 1, 900.0, 60.0, 60.0),
    "less than it would be is asked for": (Backoff(2.0, 60.0), 4, 0.5, 8.0, 16.0),
    "steady": (Backoff.steady(2.0), 7, 0.0, 2.0, 2.0),
}


@pytest.mark.parametrize(
    ("backoff", "failures", "asked_s", "least", "most"), WAITS.values(), ids=WAITS
)
def test_how_long_it_waits(backoff, failures, asked_s, least, most):
    waits = [backoff.wait_s(failures, asked_s) for _ in range(200)]
    assert least <= min(waits)
    assert max(waits) <= most
    assert (len(set(waits)) > 1) is (least < most)  # many clients do not come back together


def test_it_neither_heeds_nor_changes_the_random_numbers_of_the_caller():
    random.seed(7)
    state = random.getstate()
    waits = {TINY.wait_s(1) for _ in range(3)}
    assert random.getstate() == state
    random.seed(7)
    assert waits != {TINY.wait_s(1) for _ in range(3)}


def test_the_wait_is_told_before_it_is_waited():
    told: list[float] = []
    attempts = Attempts(TINY, retries=2)
    assert [attempts.wait(log=told.append) for _ in range(3)] == [True, True, False]
    assert len(told) == 2
    assert attempts.failures == 3


def test_nothing_else_waits():
    """Who wants to try again finds it in one place; ``embedded`` waits for its own process."""
    sleeping = {
        name
        for name, tree in sources().items()
        for node in ast.walk(tree)
        if "sleep" in (getattr(node, "attr", None), getattr(node, "name", None))
    }
    assert sleeping == {"loader.net.retry", "loader.embedded.server"}
