"""A call of the library leaves all that a process has in common as it was."""

from __future__ import annotations

import csv
import decimal
import faulthandler
import gc
import json
import locale
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import requests  # noqa: F401  (imported during a call, it says which of its warnings are shown)

from loader import errors, infer, load, validate

LONG = "x" * 200_000  # more than csv takes


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def decimals() -> list[object]:
    context = decimal.getcontext()  # without its flags: they tell what was computed
    names = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp", "traps")
    return [repr(getattr(context, name)) for name in names]


def logger(name: str | None) -> Callable[[], tuple[object, ...]]:
    def read() -> tuple[object, ...]:
        it = logging.getLogger(name)
        return it.level, it.propagate, it.disabled, *map(repr, it.handlers)

    return read


# what a process has in common: how it is read
STATE: dict[str, Callable[[], object]] = {
    "longest cell of csv": csv.field_size_limit,
    "dialects of csv": csv.list_dialects,
    "locale": lambda: locale.setlocale(locale.LC_ALL),
    "umask": umask,
    "folder": os.getcwd,
    "environment": lambda: dict(os.environ),
    "signals": lambda: {str(one): repr(signal.getsignal(one)) for one in signal.valid_signals()},
    "warnings": lambda: [*map(repr, warnings.filters), repr(warnings.showwarning)],
    "root logger": logger(None),
    "loader's logger": logger("loader"),
    "logging": lambda: (logging.raiseExceptions, logging.root.manager.disable),
    "garbage collector": lambda: (gc.isenabled(), *gc.get_threshold(), gc.get_freeze_count()),
    "decimals": decimals,
    "random numbers": lambda: repr(random.getstate()),
    "NumPy's random numbers": lambda: repr(np.random.get_state()),
    "NumPy's errors": np.geterr,
    "Arrow's memory": lambda: pa.default_memory_pool().backend_name,
    "Arrow's threads": lambda: (pa.cpu_count(), pa.io_thread_count()),
    "timeout of sockets": socket.getdefaulttimeout,
    "recursion": sys.getrecursionlimit,
    "switch interval": sys.getswitchinterval,
    "longest integer": getattr(sys, "get_int_max_str_digits", int),
    "paths": lambda: list(sys.path),
    "hooks": lambda: [repr(hook) for hook in (sys.excepthook, threading.excepthook)],
    "tracing": lambda: (repr(sys.gettrace()), faulthandler.is_enabled()),
    "streams": lambda: [repr(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "threads": lambda: [repr(thread) for thread in threading.enumerate()],
}


def failing(call: Callable[[], object]) -> None:
    try:
        call()
    except errors.AircanError:
        return
    raise AssertionError("it did not fail")


def called(url: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Give calls by name, each for a file in this folder."""
    schema = {"fields": [{"name": "n", "type": "integer"}]}
    to = {"datastore_url": url, "resource_id": "r"}
    nowhere = {"ckan_url": "http://127.0.0.1:1", "resource_id": "r"}
    yield "load", lambda: load("good.csv", **to)
    yield "load that fails", lambda: failing(lambda: load("bad.csv", schema=schema, **to))
    yield "infer", lambda: infer("good.csv")
    yield "validate", lambda: validate("good.csv")
    yield "load without an answer of CKAN", lambda: failing(lambda: load("good.csv", **nowhere))


def changed(url: str) -> dict[str, list[str]]:
    """Make the calls one after the other; return what each has changed."""
    found = {}
    for name, call in called(url):
        before = {what: read() for what, read in STATE.items()}
        call()
        found[name] = [what for what, read in STATE.items() if read() != before[what]]
    return found


def test_a_call_changes_nothing_of_its_process(tmp_path: Path, datastore_url_18: str):
    # In a process of its own: pytest has changed some of it, and imported all there is.
    (tmp_path / "good.csv").write_text(f'n,t\n1,{LONG}\n2,"a\nb"\n3,x,4\n', encoding="utf-8")
    (tmp_path / "bad.csv").write_text("n\none\n", encoding="utf-8")
    command = [sys.executable, __file__, datastore_url_18]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 5
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize("what", ["longest cell of csv", "umask", "folder", "environment"])
def test_a_change_is_seen(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = STATE[what]()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRCAN_TEST", "1")
    limit, mask = csv.field_size_limit(1), os.umask(0o177)
    try:
        assert STATE[what]() != before
    finally:
        csv.field_size_limit(limit)
        os.umask(mask)


if __name__ == "__main__":
    print(json.dumps(changed(sys.argv[1])))  # noqa: T201
