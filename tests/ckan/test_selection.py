"""Which resources are meant by what a person asks to be loaded again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from portal import Portal
from unsteady import Unsteady

from loader import errors
from loader.factory import selection
from loader.factory.artifacts import Artifacts
from loader.factory.run import Run

URL = "https://example.org/data.csv"
JSON = "application/json"


@pytest.fixture
def run(portal_212: Portal, tmp_path: Path) -> Run:
    ckan = SimpleNamespace(
        conn_id="aircan_ckan",
        conn_type="http",
        host=portal_212.url,
        port=None,
        schema=None,
        password=portal_212.token,
    )
    return Run("aircan_reload", "second", Artifacts(str(tmp_path)), lambda _: ckan)


def leave_failed(run: Run, resource_id: str, run_id: str) -> None:
    place = run.artifacts.place("aircan_load", run_id, "prepare")
    place.write("resource.json", {"resource_id": resource_id})


def never(dag_id: str, run_id: str) -> bool:
    return False


def test_a_dataset_means_its_tables_the_smallest_first(portal_212, run):
    dataset = portal_212.new_dataset()["id"]
    sizes = {"unknown": None, "big": 1 << 40, "small": 9, "middle": 1000}
    ids = {
        name: portal_212.new_resource(URL, package_id=dataset, size=size)["id"]
        for name, size in sizes.items()
    }
    portal_212.new_resource(URL, package_id=dataset, format="PDF")
    assert selection.select(run, dataset, never) == [0, 1, 2, 3]
    assert selection.all_selected(run) == [
        ids[name] for name in ("small", "middle", "big", "unknown")
    ]
    assert selection.selected(run, 1) == ids["middle"]


def test_a_dataset_may_have_no_more_than_airflow_takes(portal_212, run):
    dataset = portal_212.new_dataset()["id"]
    for _ in range(3):
        portal_212.new_resource(URL, package_id=dataset)
    with pytest.raises(
        errors.UsageError, match="has 3 resources to load, and Airflow takes 2"
    ) as caught:
        selection.select(run, dataset, never, most=2)
    assert "max_map_length" in caught.value.hint
    assert selection.select(run, dataset, never, most=3) == [0, 1, 2]


def test_of_all_that_failed_as_many_are_found_as_airflow_takes(portal_212, run, caplog):
    ids = {size: portal_212.new_resource(URL, size=size)["id"] for size in (30, 10, 20)}
    for size, resource_id in ids.items():
        leave_failed(run, resource_id, f"run {size}")
    assert selection.select(run, "failed", never, most=2) == [0, 1]
    assert selection.all_selected(run) == [ids[10], ids[20]]
    assert "1 more have failed" in caplog.text


def test_what_failed_and_is_deleted_by_now_is_left_out(portal_212, run):
    resource_id = portal_212.new_resource(URL)["id"]
    leave_failed(run, resource_id, "first")
    leave_failed(run, "0b6b6f2e-7d5c-4f0b-9c4e-2f8f6a1f3a11", "other")
    assert selection.select(run, "failed", never) == [0]
    assert selection.all_selected(run) == [resource_id]


def test_a_resource_that_ckan_hides_by_now_keeps_no_other_from_being_found(portal_212, run):
    """As whoever has the token may not see all that somebody else's run has loaded."""
    shown, hidden = portal_212.new_resource(URL)["id"], portal_212.new_resource(URL)["id"]
    for number, resource_id in enumerate((shown, hidden)):
        leave_failed(run, resource_id, str(number))

    def denied(handler, call):
        error = b'{"success": false, "error": {"__type": "Authorization Error", "message": "no"}}'
        if hidden.encode() in call.body or all_hidden:
            handler.answer(403, error, {"Content-Type": "application/json"})
        else:
            answer = handler.proxy.forward(call)
            handler.answer(answer.status_code, answer.content, {"Content-Type": JSON})

    all_hidden = False
    with Unsteady(portal_212.url, always=denied) as front:
        run.connection("aircan_ckan").host = front.url
        assert selection.select(run, "failed", never) == [0]
        assert selection.all_selected(run) == [shown]
        all_hidden = True  # the token is wrong
        with pytest.raises(errors.CkanForbidden):
            selection.select(run, "failed", never)


@pytest.mark.parametrize("content", [{"a": 1}, {}, [1], [{}], "x", "", None])
def test_a_list_that_is_none(run, content):
    run.place("find").write("resources.json", content)
    with pytest.raises(errors.ArtifactsError, match="is damaged: "):
        selection.all_selected(run)


def test_what_is_still_loading_has_not_failed(run):
    leave_failed(run, "a", "first")
    assert selection.select(run, "failed", lambda *_: True) == []
    assert selection.all_selected(run) == []


def test_a_dataset_without_a_table(portal_212, run):
    dataset = portal_212.new_dataset()["id"]
    with pytest.raises(errors.UsageError, match="has no resource to load"):
        selection.select(run, dataset, never)


def test_what_nobody_knows(run):
    with pytest.raises(errors.CkanNotFound):
        selection.select(run, "no-such-thing", never)
