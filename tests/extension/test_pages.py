"""The pages: who sees what, what forms do; they are alive, escaped, accessible and translated."""

from __future__ import annotations

import json
import re
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import requests
from parts import Person, log_in
from playwright.sync_api import Page
from portal import ENVIRONMENTS, ORGANIZATION, Portal

EXTENSION = Path(__file__).resolve().parents[2] / "ckanext-aircan" / "ckanext" / "aircan"
ROLES = ("anonymous", "outsider", "member", "editor", "sysadmin")
EDITORS = ("editor", "sysadmin")
INSIDERS = ("member", *EDITORS)

HOSTILE = "<script>alert(1)</script>"
# What no id is, and no number of a page: Postgres takes no NUL, and no half character.
ODD = ("\0", "\ud800", " ", "x" * 5000, "'\"--")
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"
ERROR = {
    "type": "ValueDoesNotFit",
    "message": "does not fit the declared type integer",
    "hint": "correct the value or the schema",
    "row": 1234,
    "column": "amount",
    "value": "twelve",
    "retryable": False,
}
# What has become of the table; of an older factory nothing is known.
TABLES = {
    "untouched": "the data loaded before is still served",
    "replaced": "in the DataStore, in place of those before",
    "merged": "in the DataStore, with those before",
    "partly": "stopped half-way",
    "dropped": "its data in the DataStore with it",
    "unknown": "is unknown: look at the data",
}
REPORT = {
    "via": "copy",
    "rows": 7,
    "rows_per_second": 3500,
    "columns": [
        {
            "id": "n",
            "type": "text",
            "label": "",
            "inferred_as": "integer",
            "widened_from": "bigint",
        },
        {"id": "day", "type": "date", "inferred_as": "date", "read_as": "%d.%m.%Y"},
        {
            "id": "price",
            "type": "text",
            "inferred_as": "string",
            "missing": {"N/A": 2, "k.A.": 1200},
            "would_be": "numeric",
        },
        {"id": "size", "type": "numeric", "inferred_as": "number", "missing": {"-": 3}},
        {"id": "weight", "type": "text", "inferred_as": "integer", "would_be": "bigint"},
    ],
    "bad_rows": {"rejected": 1, "repaired": 0, "first": [{"row": 3, "reason": "3 cells"}]},
}


def show_table(portal: Portal, resource: dict[str, Any]) -> None:
    """Give a resource a table, which CKAN shows."""
    fields = {"fields": [{"id": "n", "type": "text"}], "force": True}
    portal.action("datastore_create", resource_id=resource["id"], **fields)


class Factory:
    """Stands where Airflow's tasks do, and tells the portal of a run."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.sequence = time.time_ns() // 1000 - 3_600_000_000

    def tells(self, resource: dict[str, Any], run: str, status: str, **info: Any) -> dict[str, Any]:
        self.sequence += 60_000_000
        return self.portal.action(
            "aircan_status_update",
            job_id=None,
            job_type=info.pop("job_type", "LOAD"),
            dag_id="aircan_load",
            run_id=run,
            resource_id=resource["id"],
            sequence=self.sequence,
            status=status,
            step=info.pop("step", "load"),
            message=info.pop("message", "copying rows"),
            info=info,
        )

    def a_run(
        self, resource: dict[str, Any], status: str = "DONE", run: str = "", **info: Any
    ) -> dict[str, Any]:
        run = run or f"manual__{uuid.uuid4()}"
        kind = {"job_type": info.pop("job_type", "LOAD")}
        self.tells(resource, run, "RUNNING", rows=5, progress=0.25, **kind)
        return self.tells(resource, run, status, **info, **kind)


@pytest.fixture
def factory(factory_portal: Portal) -> Factory:
    return Factory(factory_portal)


@pytest.fixture
def resource(factory_portal: Portal) -> dict[str, Any]:
    """One that is not loaded by itself."""
    return factory_portal.new_resource(format="TXT")


@pytest.fixture
def hidden(factory_portal: Portal) -> dict[str, Any]:
    """The same, of a private dataset."""
    return factory_portal.new_resource(format="TXT", private=True)


class Visit:
    """Requests of somebody's browser."""

    def __init__(self, portal: Portal, people: dict[str, Person]) -> None:
        self.portal = portal
        self.people = people
        self._sessions: dict[str, requests.Session] = {}

    def __call__(self, role: str, path: str, **options: Any) -> requests.Response:
        """Get a page."""
        return self._session(role).get(f"{self.portal.url}{path}", timeout=60, **options)

    def post(
        self, role: str, path: str, *, with_token: bool = True, **form: str | bytes
    ) -> requests.Response:
        """Send a form."""
        session, url = self._session(role), f"{self.portal.url}{path}"
        if with_token:
            form |= self.portal.csrf(session, f"{self.portal.url}/about")
        return session.post(url, data=form, timeout=60, allow_redirects=False)

    def _session(self, role: str) -> requests.Session:
        if role not in self._sessions:
            self._sessions[role] = session = requests.Session()
            if role == "sysadmin":
                self.portal.log_in(session)
            elif role != "anonymous":
                person = self.people[role]
                self.portal.log_in(session, person.name, person.password)
        return self._sessions[role]


@pytest.fixture(scope="session")
def _visits() -> dict[str, Visit]:
    return {}


@pytest.fixture
def visit(factory_portal: Portal, people, _visits) -> Visit:
    return _visits.setdefault(factory_portal.url, Visit(factory_portal, people))


def runs(dataset: str, org: str = ORGANIZATION) -> str:
    return f"/@{org}/{dataset}/actions/"


def name_of(portal: Portal, resource: dict[str, Any]) -> str:
    return portal.action("package_show", id=resource["package_id"])["name"]


def run(portal: Portal, job: dict[str, Any], part: str = "") -> str:
    dataset = portal.action("package_show", id=job["dataset"])["name"]
    return f"{runs(dataset)}runs/{job['id']}{part}"


def tab(resource: dict[str, Any]) -> str:
    return f"/dataset/{resource['package_id']}/resource/{resource['id']}/datastore"


READING_CHOICES = ("types", "dates", "decimal", "missing", "strip", "keep_types")


def chosen(html: str) -> dict[str, str]:
    """Return what is chosen in each select of a page: the first, if nothing is."""
    found = {}
    for name, select in re.findall(
        r'<select [^>]*name="(\w+)"[^>]*>(.*?)</select>', html, re.DOTALL
    ):
        values = re.findall(r'<option value="([^"]*)"( selected)?', select)
        found[name] = next((value for value, is_chosen in values if is_chosen), values[0][0])
    return found


def plain(html: str) -> str:
    """Return what is to be read of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.mark.parametrize("role", ROLES)
class TestWhoSeesWhat:
    def test_a_failed_run(self, factory_portal, factory, resource, visit, role):
        job = factory.a_run(resource, "FAILED", error=ERROR, message="the secret of its failure")
        shown = visit(role, run(factory_portal, job))
        assert shown.status_code == 200
        assert "Failed" in plain(shown.text)
        details = ("1234", "amount", "twelve", "correct the value or the schema")
        found = [detail in plain(shown.text) for detail in details]
        assert found == [role in EDITORS] * len(details)
        assert (f"{job['id']}/rerun" in shown.text) == (role in EDITORS)
        assert (f"{job['id']}/log" in shown.text) == (role in EDITORS)
        assert ("Those who may edit" in shown.text) == (role not in EDITORS)

    def test_a_run_that_is_going(self, factory_portal, factory, resource, visit, role):
        job = factory.a_run(resource, "RUNNING", rows=4321, message="in secret", progress=0.5)
        for part in ("", "/live"):
            shown = visit(role, run(factory_portal, job, part))
            assert shown.status_code == 200
            assert "4,321 rows" in plain(shown.text)
            assert 'aria-valuenow="50"' in shown.text
            assert ("in secret" in shown.text) == (role in EDITORS)
            assert (f"{job['id']}/cancel" in shown.text) == (role in EDITORS)

    def test_the_list(self, factory_portal, factory, resource, visit, role, people):
        job = factory.a_run(resource)
        shown = visit(role, runs(name_of(factory_portal, resource)))
        assert shown.status_code == 200
        assert "Load: data.csv" in plain(shown.text)
        assert (f"{job['id']}/rerun" in shown.text) == (role in EDITORS)

    @pytest.mark.parametrize("part", ["/log", "/rejects.csv"])
    def test_what_only_editors_get(
        self, factory_portal, factory, resource, visit, role, part, artifacts
    ):
        run_id = f"manual__{uuid.uuid4()}"
        rejects = artifacts / "aircan_load" / run_id / "load" / "rejects.csv"
        rejects.parent.mkdir(parents=True)
        rejects.write_text("row,reason,raw\n3,3 cells,a\n", encoding="utf-8")
        report = json.dumps(REPORT | {"resource_id": resource["id"]})
        rejects.with_name("report.json").write_text(report, encoding="utf-8")
        told = {"artifacts": {"rejects.csv": str(rejects)}, "report": REPORT}
        job = factory.a_run(resource, run=run_id, **told)
        answer = visit(role, run(factory_portal, job, part))
        assert answer.status_code == (200 if role in EDITORS else 403)
        assert ("3 cells" in answer.text) == (role in EDITORS and part == "/rejects.csv")

    def test_how_a_resource_is_loaded(self, resource, visit, role):
        answer = visit(role, tab(resource))
        assert answer.status_code == (200 if role in EDITORS else 403)
        assert ("Full-text search" in answer.text) == (role in EDITORS)

    def test_of_a_private_dataset(self, factory_portal, factory, hidden, visit, role):
        job = factory.a_run(hidden, rows=4321)
        name = name_of(factory_portal, hidden)
        for path in (runs(name), run(factory_portal, job), run(factory_portal, job, "/live")):
            answer = visit(role, path)
            assert answer.status_code == (200 if role in INSIDERS else 404)
            assert ("4,321" in answer.text) == (role in INSIDERS)
        for path in (run(factory_portal, job, "/log"), tab(hidden)):
            allowed = 200 if role in EDITORS else 403 if role in INSIDERS else 404
            assert visit(role, path).status_code == allowed

    def test_what_a_button_does(self, factory_portal, factory, resource, visit, role):
        job = factory.a_run(resource, "RUNNING")
        answer = visit.post(role, run(factory_portal, job, "/cancel"))
        assert answer.status_code == (302 if role in EDITORS else 403)
        status = factory_portal.action("aircan_job_show", id=job["id"], ask=False)["status"]
        assert status == ("CANCELLED" if role in EDITORS else "RUNNING")
        for path, form in [
            (run(factory_portal, job, "/rerun"), {}),
            (f"{runs(name_of(factory_portal, resource))}submit", {"resource": resource["id"]}),
            (tab(resource), {"mode": "append"}),
        ]:
            answer = visit.post(role, path, **form)
            assert answer.status_code == (302 if role in EDITORS else 403)


class TestTrouble:
    def test_an_open_page_whose_run_is_gone_stops_asking(
        self, factory_portal, factory, hidden, visit
    ):
        job = factory.a_run(hidden, "RUNNING")
        asked = {"headers": {"HX-Request": "true"}}
        for path in (run(factory_portal, job, "/live"), runs(name_of(factory_portal, hidden))):
            answer = visit("outsider", path, **asked)
            assert answer.status_code == 286
            assert "no longer here" in answer.text

    def test_datasets_are_shown_before_the_tables_are_there(self, factory_portal, resource, visit):
        path = f"/dataset/{name_of(factory_portal, resource)}"
        with psycopg.connect(factory_portal.main_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE aircan_job RENAME TO not_there")
            try:
                assert visit("anonymous", path).status_code == 200
            finally:
                connection.execute("ALTER TABLE not_there RENAME TO aircan_job")


class TestForms:
    @pytest.mark.parametrize("is_known", [False, True], ids=["", "a view called by its API before"])
    def test_without_the_token_nothing_is_done(
        self, factory_portal, factory, resource, visit, is_known
    ):
        job = factory.a_run(resource, "RUNNING")
        forms = [
            (run(factory_portal, job, "/cancel"), {}),
            (run(factory_portal, job, "/rerun"), {}),
            (f"{runs(name_of(factory_portal, resource))}submit", {"resource": resource["id"]}),
            (tab(resource), {"mode": "append"}),
        ]
        for path, form in forms:
            if is_known:  # CKAN 2.12 trusts such a view from then on
                headers = {"Authorization": factory_portal.editor_token}
                url = f"{factory_portal.url}{path}"
                requests.get(url, headers=headers, timeout=60)
            assert visit.post("editor", path, with_token=False, **form).status_code == 400
        listed = factory_portal.action("aircan_job_list", resource=resource["id"])["jobs"]
        assert [one["status"] for one in listed] == ["RUNNING"]
        assert factory_portal.action("aircan_settings_show", resource_id=resource["id"]) == {}

    def test_load_now_leads_to_the_run(self, factory_portal, visit, jobs, people):
        resource = factory_portal.new_resource(upload=b"n\n1\n", format="TXT")
        path = f"{runs(name_of(factory_portal, resource))}submit"
        answer = visit.post("editor", path, resource=resource["id"])
        (job,) = jobs.ended(resource["id"])
        assert answer.headers["Location"].endswith(run(factory_portal, job))
        assert (job["status"], job["user"]) == ("DONE", people["editor"].id)
        visit.post("editor", run(factory_portal, job, "/rerun"))
        again, _first = jobs.ended(resource["id"], 2)
        assert (again["status"], again["info"]["trigger"]) == ("DONE", "rerun")

    def test_what_was_asked_for_once_is_asked_for_again(self, factory_portal, visit, jobs):
        resource = factory_portal.new_resource(upload=b"n\n1\n", format="TXT")
        ask = {"mode": "append", "options": {"full_text": "none"}}
        factory_portal.action("aircan_submit", resource_id=resource["id"], **ask)
        (job,) = jobs.ended(resource["id"])
        visit.post("editor", run(factory_portal, job, "/rerun"))
        again, _first = jobs.ended(resource["id"], 2)
        assert (again["info"]["mode"], again["info"]["options"]) == ("append", ask["options"])

    def test_a_button_that_comes_too_late_says_so(self, factory_portal, factory, resource, visit):
        job = factory.a_run(resource)
        visit.post("editor", run(factory_portal, job, "/cancel"))
        assert "The job has ended" in visit("editor", run(factory_portal, job)).text

    @pytest.mark.parametrize("of", ["", "another dataset"])
    def test_a_resource_that_is_not_there(self, factory_portal, resource, visit, of):
        other = factory_portal.new_resource(format="TXT")["id"] if of else "none"
        path = f"{runs(name_of(factory_portal, resource))}submit"
        assert visit.post("editor", path, resource=other).status_code == 404

    def test_settings_are_kept(self, factory_portal, resource, visit):
        given = {
            "mode": "upsert",
            "unique_keys": "name, first\r\n year \r\n",
            "encoding": "windows-1252",
            "delimiter": "tab",
            "header_row": "2",
            "full_text": "text",
            "on_concurrent_writes": "keep",
            "types": "strict",
            "dates": "dmy",
            "decimal": "comma",
            "missing": "auto",
            "strip": "true",
            "keep_types": "false",
            "default_encoding": "windows-1250",
            "max_bad_rows": "0",
            "max_bad_share": "0.5",
        }
        assert visit.post("editor", tab(resource), **given).status_code == 302
        assert factory_portal.action("aircan_settings_show", resource_id=resource["id"]) == {
            "mode": "upsert",
            "unique_keys": ["name, first", "year"],
            "encoding": "windows-1252",
            "delimiter": "\t",
            "header_row": 2,
            "full_text": "text",
            "on_concurrent_writes": "keep",
            "types": "strict",
            "dates": "dmy",
            "decimal": "comma",
            "missing": "auto",
            "strip": True,
            "keep_types": False,
            "default_encoding": "windows-1250",
            "max_bad_rows": 0,
            "max_bad_share": 0.5,
        }
        shown = visit("editor", tab(resource)).text
        assert "name, first\nyear</textarea>" in shown
        assert 'value="tab"' in shown
        assert '<details class="aircan-reading" open>' in shown
        assert chosen(shown).items() >= {name: given[name] for name in READING_CHOICES}.items()
        for name in ("default_encoding", "max_bad_rows", "max_bad_share"):
            assert f'name="{name}" value="{given[name]}"' in shown
        assert visit.post("editor", tab(resource), mode="replace").status_code == 302
        shown = factory_portal.action("aircan_settings_show", resource_id=resource["id"])
        assert shown == {"mode": "replace"}
        shown = visit("editor", tab(resource)).text
        assert '<details class="aircan-reading">' in shown
        assert chosen(shown).items() >= dict.fromkeys(READING_CHOICES, "").items()
        assert "Found anew in each file (as in the whole portal)" in shown

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("mode", "sometimes"),
            ("encoding", HOSTILE),
            ("delimiter", ";;"),
            ("header_row", "-1"),
            ("full_text", "some"),
            ("on_concurrent_writes", "perhaps"),
            ("types", HOSTILE),
            ("dates", "ymd"),
            ("decimal", ","),
            ("missing", "drop"),
            ("strip", "perhaps"),
            ("keep_types", "perhaps"),
            ("default_encoding", HOSTILE),
            ("max_bad_rows", "1.5"),
            ("max_bad_share", "5"),
        ],
    )
    def test_a_wrong_setting_is_marked_and_kept(
        self, factory_portal, resource, visit, field, value
    ):
        form = {"mode": "replace", "unique_keys": "kept", field: value}
        answer = visit.post("editor", tab(resource), **form)
        assert answer.status_code == 422
        blocks = answer.text.split('<div class="form-group')
        (block,) = [block for block in blocks if f'id="field-{field}"' in block]
        assert 'aria-invalid="true"' in block
        assert "error-block" in block
        assert "kept</textarea>" in answer.text
        assert HOSTILE not in answer.text
        assert factory_portal.action("aircan_settings_show", resource_id=resource["id"]) == {}


class TestAddresses:
    def test_another_organisation_or_the_id_leads_to_the_right_one(
        self, factory_portal, factory, resource, visit
    ):
        job = factory.a_run(resource)
        name = name_of(factory_portal, resource)
        for wrong in (runs(name, "other"), runs(name, "-"), runs(resource["package_id"])):
            answer = visit("anonymous", f"{wrong}?status=DONE&page=1&endpoint=x&_scheme=y")
            assert answer.url.endswith(f"{runs(name)}?page=1&status=DONE") or answer.url.endswith(
                f"{runs(name)}?status=DONE&page=1"
            )
            assert answer.status_code == 200
            answer = visit("anonymous", f"{wrong}runs/{job['id']}")
            assert answer.url.endswith(run(factory_portal, job))

    def test_without_an_organisation(self, factory_portal, factory, visit):
        factory_portal.reconfigure({"ckan.auth.create_unowned_dataset": "true"})
        try:
            name = f"unowned-{uuid.uuid4().hex[:8]}"
            dataset = factory_portal.action("package_create", name=name)
        finally:
            factory_portal.reconfigure({"ckan.auth.create_unowned_dataset": "false"})
        answer = visit("anonymous", runs(dataset["name"], "-"))
        assert (answer.status_code, answer.history) == (200, [])

    @pytest.mark.parametrize("given", ODD, ids=[repr(one[:9]) for one in ODD])
    def test_what_cannot_be_is_not_there(self, factory_portal, factory, resource, visit, given):
        """Whoever asks for it, and in whatever part of a URL."""
        job = factory.a_run(resource)
        name, odd = name_of(factory_portal, resource), quote(given, safe="", errors="surrogatepass")
        for part in ("", "/live", "/log", "/rejects.csv"):
            paths = (f"{runs(name)}runs/{odd}{part}", f"{runs(odd)}runs/{job['id']}{part}")
            for path in (*paths, f"{runs(odd)}runs/{odd}{part}"):
                assert visit("sysadmin", path).status_code == 404, path
        for path in (
            runs(odd),
            f"/dataset/{odd}/resource/{resource['id']}/datastore",
            f"/dataset/{name}/resource/{odd}/datastore",
        ):
            assert visit("sysadmin", path).status_code == 404, path
        for role in ("anonymous", "member"):
            for part, status in (("", 404), ("/live", 404), ("/log", 403)):
                path = f"{runs(name)}runs/{odd}{part}"
                assert visit(role, path).status_code == status, path
        stops = visit("editor", f"{runs(name)}runs/{odd}/live", headers={"HX-Request": "true"})
        assert stops.status_code == 286
        for button in ("cancel", "rerun"):
            assert visit.post("editor", f"{runs(name)}runs/{odd}/{button}").status_code == 404
        assert visit.post("editor", f"{runs(odd)}submit", resource="x").status_code == 404
        asked = {"resource": given.encode(errors="surrogatepass")}
        assert visit.post("editor", f"{runs(name)}submit", **asked).status_code == 404

    @pytest.mark.parametrize("given", ODD, ids=[repr(one[:9]) for one in ODD])
    def test_an_odd_parameter_breaks_no_page(self, factory_portal, factory, resource, visit, given):
        job = factory.a_run(resource)
        name, odd = name_of(factory_portal, resource), quote(given, safe="", errors="surrogatepass")
        for parameter in ("status", "job_type", "resource", "seen", "more"):
            assert visit("anonymous", f"{runs(name)}?{parameter}={odd}").status_code == 200
            assert visit("editor", run(factory_portal, job, f"?{parameter}={odd}")).ok
        assert visit("anonymous", f"{runs(name)}?page={odd}").status_code == 400
        assert visit("editor", run(factory_portal, job, f"/live?seen={odd}")).status_code == 200
        assert visit("editor", run(factory_portal, job, f"/log?page={odd}")).status_code == 404
        status = 404 if "\0" in given else 200
        assert visit("editor", run(factory_portal, job, f"/log?step={odd}")).status_code == status
        for org in (odd, ORGANIZATION):
            elsewhere = f"{runs(resource['package_id'], org)}?status={odd}&page=1"
            assert visit("anonymous", elsewhere).status_code == 200
        typed = given.encode(errors="surrogatepass")
        for name in ("mode", "encoding", "delimiter", "header_row"):
            shown = visit.post("editor", tab(resource), **{name: typed})
            assert shown.status_code == (422 if given.strip() else 302), name
        shown = visit.post("editor", tab(resource), unique_keys=typed)
        assert shown.status_code == (422 if "\0" in given else 302)

    @pytest.mark.parametrize("page", ["99999999999999999999", "9" * 5000, "100000", "2"])
    def test_a_page_beyond_the_last(self, factory_portal, factory, resource, visit, page):
        job, status = factory.a_run(resource), 200 if len(page) < 100 else 400
        name = name_of(factory_portal, resource)
        assert visit("anonymous", f"{runs(name)}?page={page}").status_code == status
        status = 200 if len(page) < 10 else 404
        assert visit("editor", run(factory_portal, job, f"/log?page={page}")).status_code == status

    def test_what_is_not_there(self, factory_portal, factory, resource, visit):
        job = factory.a_run(resource)
        name, other = name_of(factory_portal, resource), factory_portal.new_dataset()["name"]
        dataset = resource["package_id"]
        for path in (
            runs("none"),
            f"{runs(name)}runs/none",
            f"{runs(other)}runs/{job['id']}",
            f"{runs(other)}runs/{job['id']}/live",
            f"{runs(other)}runs/{job['id']}/log",
            f"{runs(other)}runs/{job['id']}/rejects.csv",
            f"{runs(name)}runs/{job['id']}/rejects.csv",
            f"/dataset/{dataset}/resource/none/datastore",
            f"/dataset/{other}/resource/{resource['id']}/datastore",
        ):
            assert visit("sysadmin", path).status_code == 404, path
        assert visit.post("sysadmin", f"{runs(other)}runs/{job['id']}/rerun").status_code == 404

    @pytest.mark.parametrize(
        "query", ["status=NONE", "resource=none", "job_type=X", "page=99999999999999999999999"]
    )
    def test_no_nonsense(self, factory_portal, resource, visit, query):
        path = runs(name_of(factory_portal, resource))
        assert visit("anonymous", f"{path}?{query}").status_code == 200


class TestList:
    def test_filters_and_pages(self, factory_portal, factory, resource, visit):
        for _number in range(21):
            failed = factory.a_run(resource, "FAILED", error=ERROR)
        done = factory.a_run(resource, "DONE")
        path = runs(name_of(factory_portal, resource))
        first, second = (visit("anonymous", f"{path}?page={n}").text for n in (1, 2))
        assert [first.count('class="aircan-run"'), second.count('class="aircan-run"')] == [20, 2]
        assert "Page 1 of 2" in first
        assert done["id"] in first
        assert done["id"] not in second
        filtered = visit("anonymous", f"{path}?status=FAILED&resource={resource['id']}").text
        assert failed["id"] in filtered
        assert done["id"] not in filtered
        assert f"status=FAILED&amp;resource={resource['id']}" in filtered  # the link to page 2
        assert '<option value="FAILED" selected>' in filtered

    def test_when_there_is_nothing_it_says_what_to_do(self, factory_portal, resource, visit):
        empty = runs(factory_portal.new_dataset()["name"])
        assert "Add a resource" in visit("editor", empty).text
        assert "Add a resource" not in visit("anonymous", empty).text
        path = runs(name_of(factory_portal, resource))
        assert f"{resource['id']}/datastore" in visit("editor", path).text
        assert "No run matches." in visit("anonymous", f"{path}?status=FAILED").text

    def test_the_run_of_a_resource_that_is_gone(self, factory_portal, factory, resource, visit):
        job = factory.a_run(resource, "FAILED", error=ERROR)
        factory_portal.action("resource_delete", id=resource["id"])
        for path in (runs(name_of(factory_portal, resource)), run(factory_portal, job)):
            shown = visit("sysadmin", path).text
            assert "a deleted resource" in shown
            assert f"{job['id']}/rerun" not in shown

    def test_a_dataset_tells_the_last_load_of_each_resource(
        self, factory_portal, factory, resource, visit
    ):
        dataset = {"package_id": resource["package_id"]}
        other, new = (factory_portal.new_resource(format="TXT", **dataset) for _ in range(2))
        factory.a_run(resource, "FAILED", error=ERROR)
        last = factory.a_run(resource, "DONE")
        factory.a_run(other, "FAILED", error=ERROR)
        factory.a_run(other, "DONE", job_type="VALIDATE", valid=True)
        page = visit("anonymous", f"/dataset/{resource['package_id']}").text
        items = dict(re.findall(r'data-id="([^"]+)">(.*?)</li>', page, re.DOTALL))
        words = ("Done", "Failed")
        badges = {id_: [word for word in words if word in item] for id_, item in items.items()}
        assert badges == {resource["id"]: ["Done"], other["id"]: ["Failed"], new["id"]: []}
        assert last["id"] in items[resource["id"]]
        assert "/actions/" in page
        of_resource = f"/dataset/{resource['package_id']}/resource/{resource['id']}"
        assert run(factory_portal, last) in visit("anonymous", of_resource).text
        assert f"{resource['id']}/datastore" in visit("editor", of_resource).text
        assert f"{resource['id']}/datastore" not in visit("member", of_resource).text


class TestRun:
    def test_all_that_is_known_of_a_load(self, factory_portal, factory, resource, visit):
        told = {"rows": 7, "warnings": ["n: text instead of bigint"], "report": REPORT}
        job = factory.a_run(resource, **told)
        shown = plain(visit("editor", run(factory_portal, job)).text)
        for text in (
            "7 rows",
            "3,500 rows/s",
            "n: text instead of bigint",
            "was bigint",
            "date read as %d.%m.%Y",
            "text would be numeric without k.A. (1,200), N/A (2)",
            "numeric left empty: - (3)",
            "text could be bigint",
            "1 row could not be placed",
            "3 cells",
            "Load the rows",
        ):
            assert text in shown
        assert "7 rows" in plain(visit("anonymous", run(factory_portal, job)).text)

    def test_a_validation(self, factory_portal, factory, resource, visit):
        first = [{"row": 12, "column": "n", "type": "type-error", "message": "not a number"}]
        told = {"valid": False, "errors": 1000, "first": first}
        job = factory.a_run(resource, job_type="VALIDATE", **told)
        shown = plain(visit("editor", run(factory_portal, job)).text)
        assert "1,000 errors; the first are:" in shown
        assert "12 n type-error not a number" in shown
        job = factory.a_run(resource, job_type="VALIDATE", valid=True, errors=0, first=[])
        assert "Every row is valid" in visit("editor", run(factory_portal, job)).text

    def test_whether_the_old_data_is_served(self, factory_portal, factory, resource, visit):
        said = "the data loaded before is still served"
        job = factory.a_run(resource, "FAILED", error=ERROR, table="untouched")
        assert said not in visit("editor", run(factory_portal, job)).text  # there is none
        show_table(factory_portal, resource)
        assert said in visit("editor", run(factory_portal, job)).text
        assert said not in visit("anonymous", run(factory_portal, job)).text
        done = factory.a_run(resource, "DONE", table="replaced")
        assert "aircan-table" not in visit("editor", run(factory_portal, done)).text
        validation = {"job_type": "VALIDATE", "error": ERROR, "table": "untouched"}
        job = factory.a_run(resource, "FAILED", **validation)
        assert "aircan-table" not in visit("editor", run(factory_portal, job)).text

    @pytest.mark.parametrize(
        ("table", "said"), [*TABLES.items(), (None, TABLES["unknown"]), ("new", TABLES["unknown"])]
    )
    def test_what_has_become_of_the_table(
        self, factory_portal, factory, resource, visit, table, said
    ):
        show_table(factory_portal, resource)
        told = {} if table is None else {"table": table}  # an older factory tells nothing
        job = factory.a_run(resource, "FAILED", error=ERROR, **told)
        for path in ("", "/live"):
            shown = plain(visit("editor", run(factory_portal, job, path)).text)
            assert [words for words in TABLES.values() if words in shown] == [said]

    def test_a_run_that_is_stopped_after_its_rows_are_in_does_not_deny_them(
        self, factory_portal, factory, resource, visit
    ):
        """A load is cancelled in CKAN, and its task tells how far it had come."""
        show_table(factory_portal, resource)
        job = factory.a_run(resource, "RUNNING", table="unknown")
        change(factory_portal, job, "CANCELLED", {})
        stopped = {"type": "Cancelled", "message": "the load was stopped"}
        factory.tells(resource, job["factory_id"], "FAILED", error=stopped, table="merged")
        shown = plain(visit("editor", run(factory_portal, job)).text)
        assert "Cancelled" in shown
        assert TABLES["merged"] in shown
        assert "as it was" not in shown

    def test_a_run_of_whose_end_nobody_has_told(self, factory_portal, factory, resource, visit):
        show_table(factory_portal, resource)
        lost = ERROR | {"type": "FactoryError"}
        job = factory.a_run(resource, "FAILED", error=lost)
        assert TABLES["unknown"] in plain(visit("editor", run(factory_portal, job)).text)

    def test_what_waits_says_why(self, factory_portal, factory, resource, visit):
        job = factory.a_run(resource)
        told = {
            "problem": "Airflow cannot be reached",
            "attempts": 2,
            "next_attempt": job["updated"],
        }
        change(factory_portal, job, "WAITING", told)
        shown = plain(visit("editor", run(factory_portal, job)).text)
        assert "Airflow cannot be reached" in shown
        assert "2 attempts so far" in shown
        assert "Airflow" not in plain(visit("anonymous", run(factory_portal, job, "/live")).text)

    def test_a_page_goes_on_asking_only_while_something_goes_on(
        self, factory_portal, factory, resource, visit
    ):
        job = factory.a_run(resource, "RUNNING")
        live, listed = run(factory_portal, job, "/live"), runs(name_of(factory_portal, resource))
        shown = visit("editor", f"{live}?seen=RUNNING").text
        assert 'hx-trigger="every 1s"' in shown
        assert "hx-swap-oob" not in shown
        assert 'hx-trigger="every' in visit("editor", listed).text
        assert "http-equiv" in visit("editor", run(factory_portal, job)).text
        factory.tells(resource, job["factory_id"], "DONE")
        shown = visit("editor", f"{live}?seen=RUNNING").text
        assert "hx-trigger" not in shown
        assert "hx-swap-oob" in shown
        assert 'hx-trigger="every' not in visit("editor", listed).text
        assert "http-equiv" not in visit("editor", run(factory_portal, job)).text

    def test_htmx_gets_a_part_and_others_a_page(self, factory_portal, factory, resource, visit):
        job = factory.a_run(resource)
        for path in (runs(name_of(factory_portal, resource)), run(factory_portal, job, "/log")):
            part = visit("editor", path, headers={"HX-Request": "true"})
            assert "<html" not in part.text
            assert "HX-Request" in part.headers["Vary"]
            page = visit("editor", path)
            assert "<html" in page.text
            assert "HX-Request" in page.headers["Vary"]

    def test_a_log_is_read_in_pages(self, factory_portal, visit, jobs):
        resource = factory_portal.new_resource(upload=b"n\n1\n")
        (job,) = jobs.ended(resource["id"])
        shown = visit("editor", run(factory_portal, job, "/log?step=load")).text
        assert "swapping the tables" in plain(shown)
        assert "step=register" in shown
        assert visit("editor", run(factory_portal, job, "/log?page=0")).status_code == 404


def test_a_slow_airflow_keeps_nobody_waiting(factory_portal, factory, resource, visit):
    """Somebody else asks Airflow after the job, and has it locked while it waits for the answer."""
    job = factory.a_run(resource, "RUNNING")
    with psycopg.connect(factory_portal.main_url) as connection:
        connection.execute("SELECT 1 FROM aircan_job WHERE id = %s FOR UPDATE", [job["id"]])
        for part in ("", "/live"):
            assert (
                visit(
                    "editor",
                    run(factory_portal, job, part),
                ).status_code
                == 200
            )
        assert visit("editor", runs(name_of(factory_portal, resource))).status_code == 200


def change(portal: Portal, job: dict[str, Any], status: str, info: dict[str, Any]) -> None:
    """Change a job behind CKAN's back."""
    with psycopg.connect(portal.main_url) as connection:
        connection.execute(
            "UPDATE aircan_job SET status = %s, info = info || %s WHERE id = %s",
            [status, json.dumps(info), job["id"]],
        )


def test_nothing_of_a_file_a_log_or_a_name_becomes_html(factory_portal, factory, visit):
    resource = factory_portal.new_resource(format="TXT", name=HOSTILE)
    hostile = dict.fromkeys(("type", "message", "hint", "row", "column", "value"), HOSTILE)
    column = dict.fromkeys(("id", "label", "type", "inferred_as", "widened_from"), HOSTILE)
    column |= {"read_as": HOSTILE, "would_be": HOSTILE, "missing": {HOSTILE: 1}}
    told = {
        "error": hostile,
        "warnings": [HOSTILE],
        "rows": HOSTILE,
        "progress": HOSTILE,
        "report": {
            "columns": [column],
            "rows_per_second": HOSTILE,
            "bad_rows": {"rejected": 1, "first": [{"row": HOSTILE, "reason": HOSTILE}]},
        },
        "valid": False,
        "errors": 1,
        "first": [hostile],
    }
    job = factory.a_run(resource, "FAILED", step=HOSTILE, message=HOSTILE, **told)
    going = factory.a_run(resource, "RUNNING", step=HOSTILE, message=HOSTILE, **told)
    change(factory_portal, factory.a_run(resource), "WAITING", {"problem": HOSTILE})
    name = name_of(factory_portal, resource)
    for path in (
        runs(name),
        run(factory_portal, job),
        run(factory_portal, going),
        run(factory_portal, going, "/live"),
        run(factory_portal, job, "/log"),
        tab(resource),
        f"/dataset/{name}",
        f"/dataset/{name}/resource/{resource['id']}",
    ):
        shown = visit("sysadmin", path)
        assert shown.status_code == 200, path
        assert HOSTILE not in shown.text, path
        assert ESCAPED in shown.text, path


@pytest.fixture
def reader(page: Page, factory_portal: Portal, people) -> Page:
    """An editor's browser."""
    log_in(page, factory_portal, people["editor"].name, people["editor"].password)
    return page


class TestInABrowser:
    def test_a_run_is_followed_without_a_reload_and_the_focus_stays(
        self, factory_portal, factory, resource, reader
    ):
        page = reader
        job = factory.a_run(resource, "RUNNING", rows=10)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(factory_portal.url + run(factory_portal, job))
        page.evaluate("window.isTheSamePage = true")
        page.locator("#aircan-cancel").focus()
        factory.tells(resource, job["factory_id"], "RUNNING", rows=12_345, progress=0.75)
        page.get_by_text("12,345 rows").wait_for()
        assert page.get_by_role("progressbar").get_attribute("aria-valuenow") == "75"
        assert page.evaluate("document.activeElement.id") == "aircan-cancel"
        assert page.locator("#aircan-news").text_content() == ""
        factory.tells(resource, job["factory_id"], "DONE", rows=20_000, report=REPORT)
        page.get_by_text("20,000 rows").wait_for()
        assert page.locator("#aircan-news").text_content() == "Done"
        assert page.evaluate("document.activeElement.id") == "aircan-cancel"
        assert page.locator("#aircan-rerun").is_visible()
        assert page.evaluate("window.isTheSamePage")
        before = len(asked)
        page.wait_for_timeout(3000)
        assert len(asked) == before

    def test_the_list_is_alive_and_the_focus_stays(self, factory_portal, factory, resource, reader):
        page = reader
        job = factory.a_run(resource, "RUNNING", rows=10)
        page.goto(factory_portal.url + runs(name_of(factory_portal, resource)))
        page.locator(f"#aircan-run-{job['id']}").focus()
        other = factory.a_run(resource, "FAILED", error=ERROR)
        page.locator(f"#aircan-run-{other['id']}").wait_for()
        factory.tells(resource, job["factory_id"], "DONE", rows=20_000)
        page.get_by_text("20,000 rows").wait_for()
        assert page.evaluate("document.activeElement.id") == f"aircan-run-{job['id']}"

    def test_a_log_by_keyboard(self, factory_portal, reader, jobs):
        page = reader
        resource = factory_portal.new_resource(upload=b"n\n1\n")
        (job,) = jobs.ended(resource["id"])
        page.goto(factory_portal.url + run(factory_portal, job))
        page.locator("#aircan-log pre").wait_for()
        page.get_by_role("link", name="Load the rows").focus()
        page.keyboard.press("Enter")
        page.get_by_text("swapping the tables").wait_for()
        assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"

    def test_what_is_folded_by_keyboard(self, factory_portal, resource, reader):
        page = reader
        page.goto(factory_portal.url + tab(resource))
        assert not page.get_by_label("Order of day and month").is_visible()
        page.locator(".aircan-reading summary").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.type("Month")
        page.get_by_label("Their share of all rows").focus()
        page.keyboard.type("0.5")
        page.keyboard.press("Enter")
        page.get_by_text("Saved: the next load goes by it").wait_for()
        assert page.get_by_label("Order of day and month").input_value() == "mdy"
        shown = factory_portal.action("aircan_settings_show", resource_id=resource["id"])
        assert (shown["dates"], shown["max_bad_share"]) == ("mdy", 0.5)

    def test_on_a_phone_nothing_is_wider_than_the_screen(
        self, factory_portal, factory, resource, reader
    ):
        page = reader
        page.set_viewport_size({"width": 360, "height": 740})
        wide = "x" * 300
        columns = [REPORT["columns"][0] | {"id": wide, "label": wide} for _ in range(3)]
        told = {"error": ERROR | {"value": wide}, "report": REPORT | {"columns": columns}}
        job = factory.a_run(resource, "FAILED", warnings=[wide], **told)
        for path in (
            runs(name_of(factory_portal, resource)),
            run(factory_portal, job),
            run(factory_portal, job, "/log"),
            tab(resource),
        ):
            page.goto(factory_portal.url + path)
            page.wait_for_load_state("networkidle")
            page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
            wider = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wider <= 0, path

    def test_without_javascript(self, chromium, factory_portal, factory, resource, people):
        job = factory.a_run(resource, "RUNNING", message="told before")
        page = chromium.new_context(java_script_enabled=False).new_page()
        page.set_default_timeout(120_000)
        log_in(page, factory_portal, people["editor"].name, people["editor"].password)
        page.goto(factory_portal.url + run(factory_portal, job))
        page.get_by_role("link", name="Show the log").click()
        page.get_by_text("told before").wait_for()
        page.get_by_role("link", name="Back to the run").click()
        page.get_by_role("link", name="Actions").first.click()
        page.get_by_label("Status").select_option("Failed")
        page.get_by_role("button", name="Filter").click()
        page.get_by_text("No run matches.").wait_for()
        page.context.close()


@pytest.fixture(scope="session")
def extracted(tmp_path_factory) -> str:
    """What is to be translated, as it is in the code now."""
    pot = tmp_path_factory.mktemp("i18n") / "now.pot"
    pybabel = ENVIRONMENTS / "2.12.0" / "bin" / "pybabel"
    mapping = EXTENSION / "i18n" / "babel.cfg"
    options = ["--omit-header", "--no-location", "--sort-output", "-F", mapping, "-o", pot]
    subprocess.run([pybabel, "-q", "extract", *options, EXTENSION], check=True)
    return pot.read_text(encoding="utf-8")


class TestWords:
    @pytest.mark.parametrize("file", ["ckanext-aircan.pot", "de/LC_MESSAGES/ckanext-aircan.po"])
    def test_all_are_in_the_catalogues(self, extracted, file):
        there = (EXTENSION / "i18n" / file).read_text(encoding="utf-8")
        assert messages(there) == messages(extracted)

    def test_all_are_translated(self):
        german = (EXTENSION / "i18n/de/LC_MESSAGES/ckanext-aircan.po").read_text(encoding="utf-8")
        assert "#, fuzzy" not in german
        assert not re.findall(r'^msgstr(?:\[\d\])? ""\n(?!")', german, re.MULTILINE)

    def test_a_page_in_german(self, factory_portal, factory, resource, visit):
        job = factory.a_run(resource, "FAILED", error=ERROR)
        shown = plain(visit("editor", f"/de{run(factory_portal, job)}").text)
        for text in ("Fehlgeschlagen", "Zeile", "Schritte", "Erneut ausführen"):
            assert text in shown


# Where the options of a load are set: by the names that errors of the loader give them.
OPTIONS = {
    "mode": ("Rows that are there already", "Zeilen, die schon da sind"),
    "key": ("Key", "Schlüssel"),
    "encoding": ("Encoding", "Zeichenkodierung"),
    "delimiter": ("Delimiter", "Trennzeichen"),
    "header_row": ("Header row", "Kopfzeile"),
    "on_concurrent_writes": ("Rows that others add", "Zeilen, die andere hinzufügen"),
    "schema": ("schema", "schema"),
    "dialect": ("dialect", "dialect"),
    "max_bytes": ("limit of a file", "Grenze für die Größe einer Datei"),
    "max_ratio": ("may unpack to", "ausgepackt"),
    "min_rate": ("least speed", "Mindestgeschwindigkeit"),
    "default_encoding": ("Encoding of files in doubt", "Zeichenkodierung im Zweifel"),
    "types": ("Dates and numbers in local forms", "Datum und Zahl in landesüblicher Form"),
    "dates": ("Order of day and month", "Reihenfolge von Tag und Monat"),
    "decimal": ("Decimal sign", "Dezimalzeichen"),
    "missing": ("Signs for no value", "Zeichen für fehlende Werte"),
    "strip": ("Spaces around text", "Leerzeichen um Text"),
    "keep_types": ("Types of columns that are there", "Typen von Spalten, die schon da sind"),
    "max_bad_rows": ("Rows that may be set aside", "Zeilen, die beiseitegelegt werden dürfen"),
    "max_bad_share": ("Their share of all rows", "Ihr Anteil an allen Zeilen"),
    "on_type_error": ("on_type_error", "on_type_error"),
    "via": ("aircan_submit", "aircan_submit"),
    "datastore_url": ("connection of the DataStore", "Verbindung zum DataStore"),
    "ckan_url": ("connection of CKAN", "Verbindung zu CKAN"),
    "ckan_token": ("connection of CKAN", "Verbindung zu CKAN"),
}
# Of a load of the factory these are given, or left to the operators.
NOT_SET = {"resource_id", "rejects", "lanes", "max_loads"}


def test_every_option_that_an_error_of_the_loader_names_has_words():
    named = {
        option
        for path in (EXTENSION.parents[2] / "loader").rglob("*.py")
        for option in re.findall(r'\boption="(\w+)"', path.read_text("utf-8"))
    }
    assert {"max_bytes", "max_ratio", "min_rate"} <= named
    assert named <= OPTIONS.keys() | NOT_SET


@pytest.mark.parametrize(("language", "path"), [(0, ""), (1, "/de")], ids=["en", "de"])
def test_an_option_is_named_where_it_is_set(
    factory_portal, factory, resource, visit, language, path
):
    for option, words in OPTIONS.items():
        job = factory.a_run(resource, "FAILED", error=ERROR | {"option": option})
        shown = plain(visit("editor", f"{path}{run(factory_portal, job)}").text)
        assert re.search(rf"{ERROR['hint']} \([^)]*{words[language]}[^)]*\)", shown), option


@pytest.mark.parametrize("option", ["later", "", None, 1, HOSTILE], ids=str)
def test_an_option_without_words_leaves_the_hint(factory_portal, factory, resource, visit, option):
    job = factory.a_run(resource, "FAILED", error=ERROR | {"option": option})
    shown = plain(visit("editor", run(factory_portal, job)).text)
    assert ERROR["hint"] in shown
    assert f"{ERROR['hint']} (" not in shown


def messages(catalogue: str) -> set[str]:
    """Return the msgids of a catalogue."""
    found = re.findall(r'^msgid(?:_plural)? ((?:".*"\n)+)', catalogue, re.MULTILINE)
    texts = {"".join(re.findall(r'"(.*)"', one)) for one in found}
    return texts - {""}
