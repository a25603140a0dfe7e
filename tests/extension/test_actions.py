"""Who may ask for what, what is refused, and what a job becomes by what the factory tells of it."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from answering import Answering
from parts import Person, until
from portal import Portal, Refused

SECRETIVE = {"type": "ValueDoesNotFit", "message": "row 3", "row": 3, "column": "a", "value": "x"}


@pytest.fixture
def resource(factory_portal: Portal) -> dict[str, Any]:
    """One that is not loaded by itself."""
    return factory_portal.new_resource(format="TXT")


def update(resource: dict[str, Any], run_id: str = "", **changes: Any) -> dict[str, Any]:
    return {
        "job_id": None,
        "job_type": "LOAD",
        "dag_id": "aircan_load",
        "run_id": run_id or f"manual__{uuid.uuid4()}",
        "resource_id": resource["id"],
        "sequence": time.time_ns() // 1000,
        "status": "RUNNING",
        "step": "load",
        "message": "copying rows",
        "info": {"rows": 5, "bytes": 100, "progress": 0.5},
    } | changes


class TestTold:
    """What the factory tells becomes of a job."""

    def tell(self, portal: Portal, *updates: dict[str, Any]) -> dict[str, Any]:
        for one in updates:
            job = portal.action("aircan_status_update", **one)
        return job

    def test_a_run_that_began_in_airflow_is_a_job_too(self, factory_portal, resource):
        job = self.tell(factory_portal, update(resource, "manual__1"))
        assert (job["factory_id"], job["status"]) == ("manual__1", "RUNNING")
        assert (job["dataset"], job["user"]) == (resource["package_id"], None)
        assert job["info"]["trigger"] == "airflow"
        assert (job["info"]["rows"], job["info"]["progress"]) == (5, 0.5)

    @pytest.mark.parametrize(
        ("told", "table"),
        [({"table": "merged"}, "merged"), ({}, "unknown"), ({"table": "new"}, "unknown")],
        ids=str,
    )
    def test_what_has_become_of_the_table(self, factory_portal, resource, told, table):
        first = update(resource, "manual__1", info={"table": "untouched"})
        assert self.tell(factory_portal, first)["info"]["table"] == "untouched"
        last = update(resource, "manual__1", status="FAILED", info=told)
        assert self.tell(factory_portal, last)["info"]["table"] == table

    def test_steps_follow_each_other(self, factory_portal, resource):
        said = [
            ("prepare", "RUNNING"),
            ("load", "RUNNING"),
            ("load", "RUNNING"),
            ("report", "DONE"),
        ]
        updates = [
            update(resource, "manual__2", sequence=second * 1_000_000, step=step, status=status)
            for second, (step, status) in enumerate(said, 1)
        ]
        job = self.tell(factory_portal, *updates)
        keys = ("name", "status", "started", "ended")
        assert [tuple(step[key] for key in keys) for step in job["info"]["steps"]] == [
            ("prepare", "DONE", "1970-01-01T00:00:01+00:00", "1970-01-01T00:00:02+00:00"),
            ("load", "DONE", "1970-01-01T00:00:02+00:00", "1970-01-01T00:00:04+00:00"),
            ("report", "DONE", "1970-01-01T00:00:04+00:00", "1970-01-01T00:00:04+00:00"),
        ]
        assert job["info"]["started"] == "1970-01-01T00:00:01+00:00"
        assert job["info"]["ended"] == "1970-01-01T00:00:04+00:00"

    def test_a_late_one_undoes_nothing_and_the_same_one_says_the_same(
        self, factory_portal, resource
    ):
        done = update(resource, "manual__3", status="DONE", info={"rows": 7})
        late = update(resource, "manual__3", sequence=done["sequence"] - 1)
        job = self.tell(factory_portal, done)
        assert self.tell(factory_portal, late) == job
        assert self.tell(factory_portal, done) == job
        assert (job["status"], job["info"]["rows"]) == ("DONE", 7)

    def test_a_run_that_is_cleared_forgets_its_error(self, factory_portal, resource):
        failed = update(resource, "manual__4", status="FAILED", info={"error": SECRETIVE})
        again = update(resource, "manual__4", step="prepare")
        assert self.tell(factory_portal, failed)["info"]["error"] == SECRETIVE
        job = self.tell(factory_portal, again)
        assert job["status"] == "RUNNING"
        assert "error" not in job["info"]
        assert [step["name"] for step in job["info"]["steps"]] == ["prepare"]

    def test_what_is_cancelled_stays_so_unless_it_was_too_late(self, factory_portal, resource):
        self.tell(factory_portal, update(resource, "manual__5"))
        (job,) = factory_portal.action("aircan_job_list", resource=resource["id"])["jobs"]
        assert factory_portal.action("aircan_job_cancel", id=job["id"])["status"] == "CANCELLED"
        stopped = update(resource, "manual__5", status="FAILED", message="stopped in Airflow")
        assert self.tell(factory_portal, stopped)["status"] == "CANCELLED"
        done = update(resource, "manual__5", status="DONE")
        assert self.tell(factory_portal, done)["status"] == "DONE"

    def test_of_no_job_and_of_another_resource_s(self, factory_portal, resource):
        with pytest.raises(Refused, match="404"):
            self.tell(factory_portal, update(resource, job_id="none"))
        other = factory_portal.new_resource(format="TXT")
        job = self.tell(factory_portal, update(other))
        with pytest.raises(Refused, match="another resource"):
            self.tell(factory_portal, update(resource, job_id=job["id"]))
        with pytest.raises(Refused, match="another job"):
            self.tell(factory_portal, update(resource, f"aircan__{job['id']}"))

    @pytest.mark.parametrize(
        ("told", "kept"),
        [
            ({"rows": True}, {"rows": None}),
            ({"rows": 10**309, "bytes": -1}, {"rows": None, "bytes": None}),
            ({"progress": 7}, {"progress": 1.0}),
            (
                {"valid": 1, "errors": True, "first": None},
                dict.fromkeys(["valid", "errors", "first"]),
            ),
            (
                {"first": [1, {"row": "x", "message": "m"}]},
                {"first": [{"row": None, "message": "m"}]},
            ),
            ({"artifacts": None}, {"artifacts": None}),
            ({"artifacts": {"rejects.csv": 1}}, {"artifacts": {}}),
            ({"warnings": ["w", 1]}, {"warnings": ["w"]}),
            ({"error": "no"}, {"error": None}),
            (
                {"error": {"row": "x", "message": ["m"], "odd": 1}},
                {"error": {"row": None, "message": None}},
            ),
            (
                {
                    "report": {
                        "bad_rows": [1],
                        "columns": 5,
                        "rows_per_second": 1e308,
                        "via": "copy",
                    }
                },
                {
                    "report": {
                        "bad_rows": None,
                        "columns": None,
                        "rows_per_second": None,
                        "via": "copy",
                    }
                },
            ),
            (
                {"report": {"bad_rows": {"rejected": "x", "first": [1]}}},
                {"report": {"bad_rows": {"rejected": None, "first": []}}},
            ),
            (
                {"report": {"columns": [{"id": "a", "read_as": 1, "missing": "N/A", "odd": 1}]}},
                {"report": {"columns": [{"id": "a", "read_as": None, "missing": None}]}},
            ),
            (
                {
                    "report": {
                        "columns": [{"missing": {"N/A": 2, "-": -1, "": True}, "would_be": []}]
                    }
                },
                {"report": {"columns": [{"missing": {"N/A": 2}, "would_be": None}]}},
            ),
            ({"unknown": 1}, {}),
        ],
    )
    def test_what_has_not_the_form_is_left_out_and_pages_show_the_rest(
        self, factory_portal, resource, told, kept
    ):
        job = self.tell(factory_portal, update(resource, status="DONE", info=told))
        names = kept.keys() | told.keys() | {"unknown"}
        assert {name: one for name, one in job["info"].items() if name in names} == kept
        place = f"{factory_portal.url}/@-/{job['dataset']}/actions/"
        headers = {"Authorization": factory_portal.token}
        for path in ("", f"runs/{job['id']}", f"runs/{job['id']}/live"):
            answer = requests.get(f"{place}{path}", headers=headers, timeout=60)
            assert answer.status_code == 200
        factory_portal.action("aircan_rejects", id=job["id"])

    def test_what_postgres_cannot_store_in_json(self, factory_portal, resource):
        told = {"error": {"message": "a\0b\ud800", "value": "\0"}, "rows": 3}
        job = self.tell(factory_portal, update(resource, status="FAILED", info=told))
        assert job["info"]["error"] == {"message": "a\ufffdb?", "value": "\ufffd"}
        assert job["info"]["rows"] == 3

    def test_only_who_may_edit_the_resource_tells(self, factory_portal, resource, people):
        for role in ("outsider", "member"):
            with pytest.raises(Refused, match="403"):
                factory_portal.action(
                    "aircan_status_update", people[role].token, **update(resource)
                )
        factory_portal.action("aircan_status_update", people["editor"].token, **update(resource))

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"status": "WAITING"}, "status"),
            ({"sequence": "soon"}, "sequence"),
            ({"info": "none"}, "info"),
            ({"job_type": "BREW"}, "job_type"),
            ({"run_id": ""}, "run_id"),
            ({"run_id": "a\nb"}, "run_id"),
            ({"run_id": "a" * 251}, "run_id"),
            ({"run_id": "./x"}, "run_id"),
            ({"dag_id": ".."}, "dag_id"),
            ({"dag_id": "a/b"}, "dag_id"),
            ({"sequence": 10**18}, "sequence"),
            ({"sequence": -1}, "sequence"),
            ({"resource_id": ["a"]}, "resource_id"),
        ],
    )
    def test_no_nonsense(self, factory_portal, resource, changes, field):
        with pytest.raises(Refused, match=field):
            factory_portal.action("aircan_status_update", **update(resource) | changes)


class TestSeen:
    """Who sees what."""

    @pytest.fixture
    def failed(self, factory_portal, resource) -> dict[str, Any]:
        info = {"error": SECRETIVE, "warnings": ["w"], "rows": 2}
        return factory_portal.action(
            "aircan_status_update", **update(resource, status="FAILED", info=info)
        )

    @pytest.mark.parametrize("role", ["anonymous", "outsider", "member"])
    def test_who_does_not_edit_sees_no_details(self, factory_portal, failed, people, role):
        token = people[role].token if role in people else ""
        shown = factory_portal.action("aircan_job_show", token, id=failed["id"])
        assert (shown["status"], shown["user"], shown["factory_id"]) == ("FAILED", None, None)
        assert set(shown["info"]) == {"dag_id", "started", "ended", "step", "rows", "steps", "why"}
        listed = factory_portal.action("aircan_job_list", token, resource=failed["resource"])
        assert listed == {"count": 1, "jobs": [shown]}
        status = factory_portal.action("aircan_status", token, resource_id=failed["resource"])
        assert status == {"status": "FAILED", "job": shown}

    @pytest.mark.parametrize("role", ["anonymous", "outsider", "member"])
    def test_who_does_not_edit_finds_out_of_nobody_s_loads(
        self, factory_portal, resource, people, role
    ):
        editor, token = people["editor"], people[role].token if role in people else ""
        ask = {"resource_id": resource["id"], "dag_id": "aircan_validate"}
        factory_portal.action("aircan_submit", editor.token, **ask)
        mine = {"resource": resource["id"], "user": editor.name}
        assert factory_portal.action("aircan_job_list", token, **mine)["count"] == 0
        assert factory_portal.action("aircan_job_list", editor.token, **mine)["count"] == 1

    def test_an_editor_sees_all(self, factory_portal, failed, people):
        token = people["editor"].token
        assert factory_portal.action("aircan_job_show", token, id=failed["id"]) == failed
        assert failed["info"]["error"] == SECRETIVE

    @pytest.mark.parametrize("role", ["anonymous", "outsider"])
    def test_a_private_dataset_shows_outsiders_nothing(self, factory_portal, people, role):
        token = people[role].token if role in people else ""
        resource = factory_portal.new_resource(format="TXT", private=True)
        job = factory_portal.action("aircan_status_update", **update(resource))
        for action, data in (
            ("aircan_job_show", {"id": job["id"]}),
            ("aircan_job_list", {"dataset": resource["package_id"]}),
            ("aircan_job_list", {"resource": resource["id"]}),
            ("aircan_status", {"resource_id": resource["id"]}),
        ):
            with pytest.raises(Refused, match="403"):
                factory_portal.action(action, token, **data)
        member = people["member"].token
        assert factory_portal.action("aircan_job_show", member, id=job["id"])["status"] == "RUNNING"

    def test_lists_are_filtered_and_paged(self, factory_portal, resource, people):
        for n in range(3):
            status = "DONE" if n else "FAILED"
            factory_portal.action(
                "aircan_status_update", **update(resource, f"run-{n}", status=status)
            )
        ask = {"dataset": resource["package_id"]}
        page = factory_portal.action("aircan_job_list", **ask, limit=2)
        rest = factory_portal.action("aircan_job_list", **ask, limit=2, offset=2)
        assert [page["count"], rest["count"]] == [3, 3]
        assert [job["factory_id"] for job in page["jobs"] + rest["jobs"]] == [
            "run-2",
            "run-1",
            "run-0",
        ]
        assert factory_portal.action("aircan_job_list", **ask, status="FAILED")["count"] == 1
        assert factory_portal.action("aircan_job_list", **ask, job_type="VALIDATE")["count"] == 0

    def test_all_jobs_are_for_sysadmins_and_one_s_own_for_everybody(
        self, factory_portal, resource, people
    ):
        editor: Person = people["editor"]
        assert factory_portal.action("aircan_job_list")["count"] > 0
        with pytest.raises(Refused, match="403"):
            factory_portal.action("aircan_job_list", editor.token)
        with pytest.raises(Refused, match="403"):
            factory_portal.action("aircan_job_list", editor.token, user=people["member"].name)
        job = factory_portal.action("aircan_submit", editor.token, resource_id=resource["id"])
        own = factory_portal.action("aircan_job_list", editor.token, user=editor.name)
        assert job["id"] in [one["id"] for one in own["jobs"]]
        factory_portal.action("package_patch", id=resource["package_id"], private=True)
        factory_portal.action("organization_member_delete", id="city", username=editor.name)
        try:
            own = factory_portal.action("aircan_job_list", editor.token, user=editor.name)
            assert job["id"] not in [one["id"] for one in own["jobs"]]
        finally:
            factory_portal.action(
                "organization_member_create", id="city", username=editor.name, role="editor"
            )

    def test_reading_goes_by_get_and_changing_does_not(self, factory_portal, failed):
        def get(action: str, **params: str) -> int:
            url = f"{factory_portal.url}/api/3/action/{action}"
            headers = {"Authorization": factory_portal.token}
            return requests.get(url, params=params, headers=headers, timeout=60).status_code

        assert get("aircan_job_show", id=failed["id"]) == 200
        assert get("aircan_job_list", resource=failed["resource"]) == 200
        assert get("aircan_status", resource_id=failed["resource"]) == 200
        assert get("aircan_rejects", id=failed["id"]) == 200
        assert get("aircan_submit", resource_id=failed["resource"]) == 400
        assert get("aircan_job_cancel", id=failed["id"]) == 400


class TestSubmit:
    def test_rights(self, factory_portal, resource, people):
        for token in ("", people["outsider"].token, people["member"].token):
            with pytest.raises(Refused, match="403"):
                factory_portal.action("aircan_submit", token, resource_id=resource["id"])

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            ({"dag_id": "aircan_cleanup"}, "dag_id"),
            ({"dag_id": "../dags"}, "dag_id"),
            ({"mode": "merge"}, "mode"),
            ({"options": "all"}, "options"),
            ({"options": {"types": "guess"}}, "types: Value must be one of"),
            ({"options": {"dates": "ymd"}}, "dates: Value must be one of"),
            ({"options": {"missing": ["auto"]}}, "missing: Value must be one of"),
            ({"options": {"strip": "maybe"}}, "strip: Must be true or false"),
            ({"options": {"keep_types": 2}}, "keep_types: Must be true or false"),
            ({"options": {"default_encoding": "klingon"}}, "default_encoding: Is not the name"),
            ({"options": {"max_bad_share": 5}}, "max_bad_share: Must be a number from 0 to 1"),
            ({"options": {"max_bad_rows": -1}}, "max_bad_rows: Must be a whole number"),
            ({"options": {"header_row": "first"}}, "header_row: Must be a whole number"),
            ({"options": {"dates": [{"a": 1}]}}, "dates"),
            ({"options": {"dates": {"a": 1}}}, "dates"),
            ({"options": {"strip": [[]], "types": {}}}, "strip: Must be true or false"),
            ({"dataset": "another"}, "404"),
        ],
    )
    def test_no_nonsense(self, factory_portal, resource, data, said):
        with pytest.raises(Refused, match=said):
            factory_portal.action("aircan_submit", resource_id=resource["id"], **data)

    def test_an_unknown_resource(self, factory_portal):
        with pytest.raises(Refused, match="404"):
            factory_portal.action("aircan_submit", resource_id="none")


class TestSettings:
    @pytest.mark.parametrize(
        ("told", "field"),
        [
            ({"mode": "upsert"}, "unique_keys"),
            ({"mode": "merge"}, "mode"),
            ({"encoding": "klingon"}, "encoding"),
            ({"delimiter": "::"}, "delimiter"),
            ({"header_row": "first"}, "header_row"),
            ({"full_text": "some"}, "full_text"),
            ({"on_concurrent_writes": "perhaps"}, "on_concurrent_writes"),
            ({"header_row": 10**30}, "header_row"),
            ({"default_encoding": "klingon"}, "default_encoding"),
            ({"default_encoding": "base64"}, "default_encoding"),
            ({"types": "guess"}, "types"),
            ({"types": False}, "types"),
            ({"dates": "ymd"}, "dates"),
            ({"dates": ["dmy"]}, "dates"),
            ({"missing": "drop"}, "missing"),
            ({"strip": "maybe"}, "strip"),
            ({"strip": []}, "strip"),
            ({"keep_types": 1.5}, "keep_types"),
            ({"max_bad_rows": -1}, "max_bad_rows"),
            ({"max_bad_rows": "many"}, "max_bad_rows"),
            ({"max_bad_rows": 1.5}, "max_bad_rows"),
            ({"max_bad_rows": True}, "max_bad_rows"),
            ({"max_bad_share": 5}, "max_bad_share"),
            ({"max_bad_share": "5 %"}, "max_bad_share"),
            ({"max_bad_share": "nan"}, "max_bad_share"),
            ({"max_bad_share": True}, "max_bad_share"),
            ({"encoding": "unicode_escape"}, "encoding"),
            ({"encoding": "base64"}, "encoding"),
            ({"delimiter": '"'}, "delimiter"),
            ({"delimiter": "a"}, "delimiter"),
            ({"delimiter": "\xe9"}, "delimiter"),
            ({"delimiter": "\n"}, "delimiter"),
            ({"delimiter": "\0"}, "delimiter"),
            ({"unique_keys": ["a\0"]}, "unique_keys"),
            ({"unique_keys": ["\ud800"]}, "unique_keys"),
        ],
    )
    def test_no_nonsense(self, factory_portal, resource, told, field):
        with pytest.raises(Refused, match=field):
            factory_portal.action("aircan_settings_update", resource_id=resource["id"], **told)

    @pytest.mark.parametrize(
        ("told", "kept"),
        [
            ({"strip": False, "keep_types": "no"}, {"strip": False, "keep_types": False}),
            ({"strip": "True", "keep_types": 1}, {"strip": True, "keep_types": True}),
            ({"max_bad_rows": 0, "max_bad_share": 0}, {"max_bad_rows": 0, "max_bad_share": 0.0}),
            (
                {"max_bad_rows": "5", "max_bad_share": ".5"},
                {"max_bad_rows": 5, "max_bad_share": 0.5},
            ),
            ({"header_row": 0}, {"header_row": 0}),
            (dict.fromkeys(("types", "strip", "max_bad_rows", "default_encoding"), ""), {}),
            (dict.fromkeys(("dates", "keep_types", "max_bad_share", "missing")), {}),
        ],
    )
    def test_nothing_and_none_are_not_the_same(self, factory_portal, resource, told, kept):
        name = {"resource_id": resource["id"]}
        assert factory_portal.action("aircan_settings_update", **name, **told) == kept
        assert factory_portal.action("aircan_settings_show", **name) == kept

    def test_they_are_for_editors(self, factory_portal, resource, people):
        for action in ("aircan_settings_show", "aircan_settings_update"):
            with pytest.raises(Refused, match="403"):
                factory_portal.action(action, people["member"].token, resource_id=resource["id"])


def nested(levels: int) -> list[Any]:
    """Return lists in lists."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("ask", [1, 0, "no", False])
def test_whether_airflow_is_asked_may_be_said_in_any_way(factory_portal, resource, ask):
    job = factory_portal.action("aircan_status_update", **update(resource))
    assert factory_portal.action("aircan_job_show", id=job["id"], ask=ask)["id"] == job["id"]


@pytest.mark.parametrize("levels", [10, 600])
@pytest.mark.parametrize("action", ["aircan_status_update", "aircan_columns_change"])
def test_who_may_not_ask_is_told_so_whatever_he_asks(factory_portal, resource, action, levels):
    asked = update(resource, info={"x": nested(levels)}, before=nested(levels))
    with pytest.raises(Refused, match=r"40[39]"):
        factory_portal.action(action, "", **asked)


def test_what_is_told_too_deep_is_left_out(factory_portal, resource):
    told = {"report": {"rows": 3, "odd": nested(600)}}
    job = factory_portal.action("aircan_status_update", **update(resource, info=told))
    assert job["info"]["report"]["rows"] == 3


@pytest.mark.parametrize(
    ("action", "asked", "field"),
    [
        ("aircan_job_list", {"limit": "x"}, "limit"),
        ("aircan_job_list", {"limit": []}, "limit"),
        ("aircan_job_list", {"limit": "\0"}, "limit"),
        ("aircan_job_list", {"offset": 10**30}, "offset"),
        ("aircan_job_list", {"user": "\0"}, "user"),
        ("aircan_job_show", {"id": "\0"}, "id"),
        ("aircan_job_show", {"id": 5}, "id"),
        ("aircan_job_log", {"id": "\ud800"}, "id"),
        ("aircan_job_cancel", {"id": ["a"]}, "id"),
        ("aircan_rejects", {"id": "\0"}, "id"),
        ("aircan_status", {"resource_id": {}}, "resource_id"),
        ("aircan_submit", {"options": {"x": "\0"}}, "options"),
        ("aircan_submit", {"options": {"x": 2**70}}, "options"),
        ("aircan_submit", {"unique_keys": ["\ud800"]}, "unique_keys"),
        ("aircan_submit", {"options": {"x": nested(600)}}, "options"),
        ("aircan_submit", {"force": []}, "force"),
        ("aircan_submit", {"force": {}}, "force"),
        ("aircan_submit", {"force": 1.5}, "force"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(factory_portal, resource, action, asked, field):
    named = {"dataset": resource["package_id"]} if action == "aircan_job_list" else {}
    named = {"resource_id": resource["id"]} if action == "aircan_submit" else named
    with pytest.raises(Refused, match=f"409.*'{field}'"):
        factory_portal.action(action, **named | asked)


def test_many_at_once_do_not_wait_for_each_other(factory_portal_212):
    """Each request has a connection of CKAN's, and the badges take one of the extension's."""
    resource = factory_portal_212.new_resource(format="TXT")
    url = f"{factory_portal_212.url}/dataset/{resource['package_id']}"
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: requests.get(url, timeout=120), range(30)))
    assert {answer.status_code for answer in answers} == {200}


class TestRejects:
    @pytest.mark.parametrize(
        "uri", ["/etc/passwd", "{base}/../../etc/rejects.csv", "{base}x/rejects.csv"]
    )
    def test_nothing_else_is_ever_read(self, factory_portal, resource, artifacts, uri):
        told = {"artifacts": {"rejects.csv": uri.format(base=artifacts)}}
        job = factory_portal.action(
            "aircan_status_update", **update(resource, status="DONE", info=told)
        )
        assert factory_portal.action("aircan_rejects", id=job["id"])["url"] is None

    @pytest.mark.parametrize("report", ["", "[]", '{"resource_id": "another"}', None])
    def test_those_of_another_resource_are_not_given(
        self, factory_portal, resource, artifacts, report
    ):
        run_id = f"manual__{uuid.uuid4()}"
        folder = artifacts / "aircan_load" / run_id
        answer = self.asked(factory_portal, resource, folder, report, run_id)
        assert answer.status_code == 404
        assert "3 cells" not in answer.text

    @pytest.mark.parametrize("dag_id", ["aircan_load", "aircan_reload"])
    @pytest.mark.parametrize("of_run", ["manual__1+00:00", "scheduled__2", "", "."])
    def test_those_of_another_run_are_not_given(
        self, factory_portal, resource, artifacts, dag_id, of_run
    ):
        run_id = f"manual__{uuid.uuid4()}"
        report = json.dumps({"resource_id": resource["id"]})
        folder = artifacts / dag_id / (of_run or run_id)
        answer = self.asked(factory_portal, resource, folder, report, run_id)
        is_its_own = dag_id == "aircan_load" and not of_run
        assert answer.status_code == (200 if is_its_own else 404)
        assert ("3 cells" in answer.text) == is_its_own

    @staticmethod
    def asked(portal, resource, run_folder, report, run_id):
        folder = run_folder / uuid.uuid4().hex
        folder.mkdir(parents=True)
        (folder / "rejects.csv").write_text("row,reason,raw\n3,3 cells,a\n", encoding="utf-8")
        if report is not None:
            (folder / "report.json").write_text(report, encoding="utf-8")
        told = {"artifacts": {"rejects.csv": f"{folder}/rejects.csv"}}
        asked = update(resource, run_id, status="DONE", info=told)
        job = portal.action("aircan_status_update", **asked)
        url = portal.action("aircan_rejects", id=job["id"])["url"]
        return requests.get(url, headers={"Authorization": portal.token}, timeout=60)


class TestLoads:
    """With Airflow, for the newer CKAN only: each load takes its time."""

    @pytest.fixture
    def factory_portal(self, factory_portal_212):
        return factory_portal_212

    def test_a_validation(self, factory_portal, jobs):
        resource = factory_portal.new_resource(upload=b"a,b\n1,2\n3\n", format="TXT")
        job = factory_portal.action(
            "aircan_submit", resource=resource["id"], dag_id="aircan_validate"
        )
        assert job["job_type"] == "VALIDATE"
        (done,) = jobs.ended(resource["id"])
        assert (done["status"], done["info"]["valid"], done["info"]["errors"]) == ("DONE", False, 1)
        assert done["info"]["first"][0]["row"] == 3

    def test_a_broken_file_names_row_and_column_and_the_old_rows_stay(self, factory_portal, jobs):
        resource = factory_portal.new_resource(upload=b"n\n1\n2\n")["id"]
        jobs.ended(resource)
        files = {"upload": ("data.csv", b'n\n1\n"2\n')}
        factory_portal.post("resource_patch", data={"id": resource}, files=files)
        failed = jobs.ended(resource, 2)[0]
        assert failed["status"] == "FAILED"
        assert failed["info"]["error"]["row"] == 3
        assert failed["info"]["error"]["hint"]
        assert factory_portal.search(resource)["total"] == 2

    @pytest.fixture
    def paused(self, airflow):
        """Validations, which begin when the test has ended."""
        airflow.pause("aircan_validate")
        yield "aircan_validate"
        airflow.pause("aircan_validate", paused=False)

    def test_what_waits_is_not_asked_for_twice_and_can_be_cancelled(
        self, factory_portal, jobs, airflow, resource, paused
    ):
        ask = {"resource_id": resource["id"], "dag_id": paused}
        first = factory_portal.action("aircan_submit", **ask)
        until(lambda: jobs.of(resource["id"])[0]["info"].get("submitted"))
        second = factory_portal.action("aircan_submit", **ask)
        again = factory_portal.action("aircan_submit", **ask)
        other = factory_portal.action("aircan_submit", **ask, options={"encoding": "utf-8"})
        assert again["id"] == second["id"] != first["id"]
        assert other["id"] not in (first["id"], second["id"])
        assert {job["id"]: job["factory_id"] for job in jobs.of(resource["id"])} == {
            first["id"]: f"aircan__{first['id']}",
            second["id"]: None,
            other["id"]: None,
        }
        # Somebody tells of a run that nobody has asked Airflow for.
        told = update(resource, f"aircan__{other['id']}", job_id=other["id"], dag_id=paused)
        assert factory_portal.action("aircan_status_update", **told)["status"] == "RUNNING"
        assert factory_portal.action("aircan_job_show", id=other["id"])["status"] == "RUNNING"
        for job in jobs.of(resource["id"]):
            factory_portal.action("aircan_job_cancel", id=job["id"])
        assert {job["status"] for job in jobs.of(resource["id"])} == {"CANCELLED"}
        with pytest.raises(Refused, match="has ended"):
            factory_portal.action("aircan_job_cancel", id=first["id"])

    def test_a_run_that_began_in_airflow_is_stopped_by_its_own_resource_only(
        self, factory_portal, airflow, resource, paused
    ):
        conf = {"resource": {"resource_id": resource["id"]}, "ckan_conn_id": "none"}
        run_id = airflow.trigger(paused, conf)
        other = factory_portal.new_resource(format="TXT")
        told = {"dag_id": paused, "job_type": "VALIDATE"}
        mine, forged = (
            factory_portal.action("aircan_status_update", **update(one, run_id, **told))
            for one in (resource, other)
        )
        with pytest.raises(Refused, match="about other resources"):
            factory_portal.action("aircan_job_cancel", id=forged["id"])
        log = factory_portal.action("aircan_job_log", id=forged["id"])
        assert log["problem"].startswith("the run is about other resources, too")
        assert airflow.state(paused, run_id) == "queued"
        factory_portal.action("aircan_job_cancel", id=mine["id"])
        assert airflow.state(paused, run_id) == "failed"

    def test_what_is_told_while_airflow_is_asked_to_end_a_run(
        self, factory_portal, airflow, resource
    ):
        """Airflow tells of the end before it answers; what is not ended fails as any other."""
        slow, shared = (
            factory_portal.action("aircan_status_update", **update(resource, run_id))
            for run_id in ("manual__slow", "manual__shared")
        )
        run = {"state": "running", "start_date": None, "end_date": None}

        def fail(run_id):
            told = update(resource, run_id, status="FAILED", info={"error": SECRETIVE})
            factory_portal.action("aircan_status_update", **told)

        def of_slow(headers):
            if headers["Content-Length"]:  # that it is to end
                fail("manual__slow")
            return 200, run | {"conf": {"resource": resource["id"]}}

        def of_shared(_headers):
            fail("manual__shared")
            return 200, run | {"conf": {}}

        runs = "/api/v2/dags/aircan_load/dagRuns"
        answers = {
            "/api/v2/version": (200, {"version": "3.3.2"}),
            "/auth/token": (201, {"access_token": "any"}),
            f"{runs}/manual__slow": of_slow,
            f"{runs}/manual__shared": of_shared,
        }
        with Answering(answers) as server:
            factory_portal.reconfigure({"ckanext.aircan.airflow_url": server.url})
            try:
                cancelled = factory_portal.action("aircan_job_cancel", id=slow["id"])
                with pytest.raises(Refused, match="about other resources"):
                    factory_portal.action("aircan_job_cancel", id=shared["id"])
            finally:
                factory_portal.reconfigure({"ckanext.aircan.airflow_url": airflow.url})
        assert [one[:2] for one in server.requests if one[0] == "PATCH"] == [
            ("PATCH", f"{runs}/manual__slow")
        ]
        assert (cancelled["status"], cancelled["info"]["message"]) == ("CANCELLED", "cancelled")
        assert "error" not in cancelled["info"]
        failed = factory_portal.action("aircan_job_show", id=shared["id"])
        assert (failed["status"], failed["info"]["error"]) == ("FAILED", SECRETIVE)

    def test_what_cannot_be_stopped_fails_as_any_other(self, factory_portal, airflow, resource):
        job = factory_portal.action("aircan_status_update", **update(resource, "manual__stuck"))
        factory_portal.reconfigure({"ckanext.aircan.airflow_url": "http://127.0.0.1:9"})
        try:
            with pytest.raises(Refused, match="cannot be stopped now"):
                factory_portal.action("aircan_job_cancel", id=job["id"])
            failed = update(resource, "manual__stuck", status="FAILED", info={"error": SECRETIVE})
            told = factory_portal.action("aircan_status_update", **failed)
        finally:
            factory_portal.reconfigure({"ckanext.aircan.airflow_url": airflow.url})
        assert (told["status"], told["info"]["error"]) == ("FAILED", SECRETIVE)

    def test_they_are_how_a_resource_is_loaded(self, factory_portal, jobs, people):
        resource = factory_portal.new_resource(upload=b"title\n\nid;n\n1;a\n1;b\n", format="TXT")[
            "id"
        ]
        token = people["editor"].token
        told = {"mode": "upsert", "unique_keys": ["id"], "delimiter": ";", "header_row": 3}
        told |= {"full_text": "none", "encoding": "utf-8", "on_concurrent_writes": "keep"}
        assert (
            factory_portal.action("aircan_settings_update", token, resource_id=resource, **told)
            == told
        )
        assert factory_portal.action("aircan_settings_show", token, resource_id=resource) == told
        factory_portal.action("aircan_submit", token, resource_id=resource)
        (job,) = jobs.ended(resource)
        assert (job["status"], job["info"]["mode"]) == ("DONE", "upsert")
        assert [row["n"] for row in factory_portal.search(resource)["records"]] == ["b"]

    def test_what_the_portal_says_counts_for_every_load(self, factory_portal, jobs):
        """Its limits bind; of all else a resource's own settings, and then a caller's, win."""
        limits = {"max_bytes": "1KB", "max_ratio": "30", "min_rate": "2KiB"}
        given = limits | {
            "default_encoding": "cp1250",
            "types": "strict",
            "dates": "dmy",
            "missing": "auto",
            "strip": "yes",
            "keep_types": "true",
            "max_bad_rows": "7",
            "max_bad_share": "0.5",
        }
        said = given | {"strip": True, "keep_types": True, "max_bad_rows": 7, "max_bad_share": 0.5}
        of_resource = {"strip": False, "dates": "mdy", "max_bad_rows": 0}
        of_caller = {"dates": "iso", "types": "auto"}
        factory_portal.reconfigure({f"ckanext.aircan.{name}": one for name, one in given.items()})
        try:
            small = factory_portal.new_resource(upload=b"n\n1\n")
            large = factory_portal.new_resource(upload=b"n\n" + b"1\n" * 1000)
            ended = [jobs.ended(resource["id"])[0] for resource in (small, large)]
            form = self.form_of(factory_portal, small)
            named = {"resource_id": small["id"]}
            factory_portal.action("aircan_settings_update", **named, **of_resource)
            own = {"max_bytes": 2, "max_ratio": 1000, "min_rate": "1B"} | of_caller
            factory_portal.action("aircan_submit", **named, options=own)
            tighter = jobs.ended(small["id"])[0]
        finally:
            factory_portal.reconfigure({f"ckanext.aircan.{name}": "" for name in given})
        assert [job["status"] for job in ended] == ["DONE", "FAILED"]
        assert ended[1]["info"]["error"]["type"] == "SourceTooLarge"
        assert "1,000 are allowed" in ended[1]["info"]["error"]["message"]
        assert ended[0]["info"]["options"] == said
        assert tighter["info"]["options"] == said | of_resource | of_caller | {"max_bytes": 2}
        assert " 2 are allowed" in tighter["info"]["error"]["message"]
        for text in (
            "Left as text (as in the whole portal)",
            "Day first (as in the whole portal)",
            "Left empty (as in the whole portal)",
            "Left out (as in the whole portal)",
            "Kept, as long as all values fit (as in the whole portal)",
            'placeholder="cp1250"',
            'placeholder="7"',
            'placeholder="0.5"',
        ):
            assert text in form

    def form_of(self, portal: Portal, resource: dict[str, Any]) -> str:
        """Return the DataStore tab of a resource."""
        with requests.Session() as session:
            portal.log_in(session)
            place = f"{portal.url}/dataset/{resource['package_id']}/resource/{resource['id']}"
            return session.get(f"{place}/datastore", timeout=60).text

    def test_a_portal_that_says_what_cannot_be_does_not_start(self, factory_portal, tmp_path):
        wrong = {
            "default_encoding": ("klingon", "Is not the name of an encoding"),
            "types": ("guess", "Value must be one of"),
            "dates": ("ymd", "Value must be one of"),
            "missing": ("drop", "Value must be one of"),
            "strip": ("perhaps", "Must be true or false"),
            "keep_types": ("2", "Must be true or false"),
            "max_bad_rows": ("-1", "Must be a whole number from 0"),
            "max_bad_share": ("5", "Must be a number from 0 to 1"),
        }
        ini = shutil.copy(factory_portal.ini, tmp_path)
        said = (f"ckanext.aircan.{name}={value}" for name, (value, _) in wrong.items())
        factory_portal.ckan("config-tool", str(ini), *said)
        with pytest.raises(AssertionError) as refused:
            factory_portal.ckan("-c", str(ini), "aircan", "status")
        for name, (_, why) in wrong.items():
            assert f"ckanext.aircan.{name}: {why}" in str(refused.value)

    def test_a_page_of_each_step_s_log(self, factory_portal, jobs, people):
        resource = factory_portal.new_resource(upload=b"n\n1\n")["id"]
        (job,) = jobs.ended(resource)
        log = factory_portal.action("aircan_job_log", id=job["id"], step="load")
        assert (log["step"], log["problem"]) == ("load", None)
        assert {"prepare", "load", "register", "report"} <= set(log["steps"])
        assert any("copying rows: 1 rows" in line for line in log["lines"])
        with pytest.raises(Refused, match="403"):
            factory_portal.action("aircan_job_log", people["member"].token, id=job["id"])

    def test_rejected_rows(self, factory_portal, jobs, people):
        content = b"a,b\n1,2\n3,4,5\n"
        resource = factory_portal.new_resource(upload=content)["id"]
        (job,) = jobs.ended(resource)
        told = factory_portal.action("aircan_rejects", id=job["id"])
        assert (told["rejected"], told["first"][0]["row"]) == (1, 3)
        headers = {"Authorization": factory_portal.token}
        answer = requests.get(told["url"], headers=headers, timeout=60)
        assert "3,4,5" in answer.text
        assert "attachment" in answer.headers["Content-Disposition"]
        with pytest.raises(Refused, match="403"):
            factory_portal.action("aircan_rejects", people["member"].token, id=job["id"])
