"""The operators' settings: what may stand in a variable, and what is done where it may not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from loader.errors import UsageError
from loader.factory import environment
from loader.factory.environment import Setting

BYTES_MOST = 2**63 - 1
COUNTS = {
    environment.MAX_ACTIVE_RUNS: 16,
    environment.LARGE_RUNS: 1,
    environment.MAX_LOADS: None,
    environment.HUGE_BYTES: 1 << 30,
}
SPANS = {
    environment.TIMEOUT: (timedelta(hours=1), 24),
    environment.RETRY_DELAY: (timedelta(seconds=1), 15),
}
LIMITS = (environment.MAX_BYTES, environment.MAX_RATIO, environment.MIN_RATE)
SWITCH = environment.REFUSE_API_KEYS
ENCODING = environment.DEFAULT_ENCODING
NAMES = (environment.LARGE_QUEUE, environment.LARGE_POOL)
BAD_NUMBERS = [
    "x",
    "-1",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "1_0",
    "٣",
    "0x10",
    "1,5",
    "16 runs",
    "9" * 30,
    "9" * 5000,
    "1\x07",
]
BAD_COUNTS = [*BAD_NUMBERS, "0", "1.5", "1e3", "+1", "½"]


def bad(setting: Setting, text: str, monkeypatch: pytest.MonkeyPatch) -> UsageError:
    monkeypatch.setenv(setting.name, text)
    with pytest.raises(UsageError, match=f"{setting.name} cannot be") as refused:
        setting.value()
    assert repr(text[:20])[1:-1] in str(refused.value)
    assert len(str(refused.value)) < 200
    assert refused.value.hint == setting.hint
    assert setting.tolerant() == setting.fallback
    return refused.value


@pytest.mark.parametrize("text", BAD_COUNTS)
@pytest.mark.parametrize("setting", COUNTS, ids=lambda setting: setting.name)
def test_what_is_no_count(setting, text, monkeypatch):
    bad(setting, text, monkeypatch)


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "1e9"])
@pytest.mark.parametrize("setting", SPANS, ids=lambda setting: setting.name)
def test_what_is_no_span_of_time(setting, text, monkeypatch):
    bad(setting, text, monkeypatch)


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "10 XB", "many"])
@pytest.mark.parametrize("setting", LIMITS, ids=lambda setting: setting.name)
def test_what_is_no_limit(setting, text, monkeypatch):
    bad(setting, text, monkeypatch)


@pytest.mark.parametrize("text", ["windows-9999", "hex", "undefined", "utf 8 or so", "\x1b[31m"])
def test_what_is_no_encoding(text, monkeypatch):
    bad(ENCODING, text, monkeypatch)


@pytest.mark.parametrize("text", ["0", "1e-9", "0.0001"])
def test_a_run_has_some_time(text, monkeypatch):
    bad(environment.TIMEOUT, text, monkeypatch)


@pytest.mark.parametrize("text", ["on", "2", "wahr", "truee", "-1"])
def test_a_switch_that_nobody_understands_is_on_the_safe_side(text, monkeypatch):
    bad(SWITCH, text, monkeypatch)
    assert SWITCH.tolerant() is True


@pytest.mark.parametrize("text", ["x" * 251, "a\tb", "a\nb", "\x1b[31m"])
@pytest.mark.parametrize("setting", NAMES, ids=lambda setting: setting.name)
def test_what_is_no_name(setting, text, monkeypatch):
    bad(setting, text, monkeypatch)


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
@pytest.mark.parametrize(
    "setting",
    [*COUNTS, *SPANS, *LIMITS, SWITCH, *NAMES, ENCODING, environment.CLEANUP_SCHEDULE],
    ids=lambda setting: setting.name,
)
def test_an_empty_variable_is_none(setting, text, monkeypatch):
    monkeypatch.setenv(setting.name, text)
    assert setting.value() == setting.tolerant() == setting.default
    monkeypatch.delenv(setting.name)
    assert setting.value() == setting.default


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        *((setting, "1", 1) for setting in COUNTS),
        *((setting, " 0016\n", 16) for setting in COUNTS),
        *((setting, str(2**31 - 1), 2**31 - 1) for setting in COUNTS),
        (environment.HUGE_BYTES, str(BYTES_MOST), BYTES_MOST),
        *((setting, "1.5", unit * 1.5) for setting, (unit, _) in SPANS.items()),
        *((setting, "1e2", unit * 100) for setting, (unit, _) in SPANS.items()),
        (environment.RETRY_DELAY, "0", timedelta(0)),
        (environment.TIMEOUT, "8760", timedelta(days=365)),
        (SWITCH, "TRUE", True),
        (SWITCH, "no", False),
        (ENCODING, "windows-1250", "windows-1250"),
        (ENCODING, " UTF-16\n", "UTF-16"),
        (ENCODING, "iso8859_8", "iso8859_8"),
        (environment.LARGE_QUEUE, "große Dateien", "große Dateien"),
    ],
    ids=lambda part: part.name if isinstance(part, Setting) else str(part),
)
def test_what_may_be(setting, text, value, monkeypatch):
    monkeypatch.setenv(setting.name, text)
    assert setting.value() == setting.tolerant() == value


@pytest.mark.parametrize("setting", COUNTS, ids=lambda setting: setting.name)
def test_defaults_are_those_of_the_docs(setting):
    assert setting.default == COUNTS[setting]
    for span, (unit, default) in SPANS.items():
        assert span.default == span.fallback == unit * default


@pytest.mark.parametrize("dag_id", ["aircan_load", "aircan_load_large", "aircan_cleanup"])
def test_a_dag_minds_the_settings_that_count_for_it(dag_id, monkeypatch):
    monkeypatch.setenv("AIRCAN_TIMEOUT_HOURS", "x")
    monkeypatch.setenv("AIRCAN_LARGE_RUNS", "y")
    found = [str(error) for error in environment.faults(dag_id)]
    more = ["AIRCAN_LARGE_RUNS cannot be 'y'"] if dag_id == "aircan_load_large" else []
    assert found == ["AIRCAN_TIMEOUT_HOURS cannot be 'x'", *more]
