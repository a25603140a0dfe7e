"""The whole way of a publisher: a form, a page that tells, rows; a broken file; a re-run."""

from __future__ import annotations

from pathlib import Path

import pytest
from parts import Jobs, log_in
from playwright.sync_api import Page, expect
from portal import ADMIN, PASSWORD, Portal
from standalone import Airflow

ROWS = 200_000
TIMEOUT_MS = 120_000


@pytest.fixture
def publisher(page: Page, factory_portal_212: Portal) -> Page:
    """Somebody who is logged in and waits patiently."""
    page.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    log_in(page, factory_portal_212, ADMIN, PASSWORD)
    return page


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A CSV that takes some seconds, and whose last row widens a column."""
    path = tmp_path / "measurements.csv"
    with path.open("w", encoding="utf-8") as csv:
        csv.write("id,station,value\n")
        csv.writelines(f"{n},Münster,{n / 10}\n" for n in range(1, ROWS))
        csv.write(f"{ROWS},Münster,N/A\n")
    return path


def upload(page: Page, place: str, file: Path) -> None:
    """Choose a file in CKAN's form, and save it."""
    page.goto(place)
    page.set_input_files("input[name=upload]", file)
    page.fill("#field-name", "Measurements")
    page.fill("#field-format", "CSV")
    page.keyboard.press("Escape")
    page.click("button.btn-primary[name=save]")
    page.wait_for_load_state()


def test_from_a_form_to_rows(publisher, factory_portal_212, airflow: Airflow, file, tmp_path):
    page, portal = publisher, factory_portal_212
    jobs = Jobs(portal)
    dataset = portal.new_dataset(title="Air quality")
    place = f"{portal.url}/dataset/{dataset['name']}"

    airflow.pause("aircan_load")  # or it would be past waiting before the page is open
    upload(page, f"{place}/resource/new", file)
    (resource,) = portal.action("package_show", id=dataset["id"])["resources"]
    page.goto(place)
    page.get_by_role("link", name="Actions").click()
    page.get_by_role("link", name="Measurements").first.click()
    page.evaluate("window.thisPage = 'is still the one that was opened'")
    now = page.locator(".aircan-run-now .aircan-status")
    expect(now).to_have_text("Waiting")
    airflow.pause("aircan_load", paused=False)
    expect(now).to_have_text("Running")
    expect(now).to_have_text("Done")
    assert page.evaluate("window.thisPage") == "is still the one that was opened"
    expect(page.locator(".aircan-run-now")).to_contain_text("200,000 rows")

    found = portal.search(resource["id"], q="Münster", sort="_id desc", limit=1)
    assert found["total"] == ROWS
    assert (found["records"][0]["id"], found["records"][0]["value"]) == (ROWS, "N/A")

    broken = tmp_path / "broken.csv"
    broken.write_text('id,station,value\n1,Ulm,1\n2,"Ulm,2\n', encoding="utf-8")
    upload(page, f"{place}/resource/{resource['id']}/edit", broken)
    failed = jobs.ended(resource["id"], 2)[0]
    page.goto(f"{portal.url}/@city/{dataset['name']}/actions/runs/{failed['id']}")
    error = page.locator(".aircan-error")
    expect(error).to_contain_text("quote")
    assert error.locator("dt:has-text('Row') + dd").inner_text() == "3"
    expect(page.locator(".aircan-table")).to_contain_text("is still served")
    assert portal.search(resource["id"])["total"] == ROWS

    page.click("#aircan-rerun")
    expect(page.locator(".aircan-run-now .aircan-status")).to_have_text("Failed")
    assert len(jobs.ended(resource["id"], 3)) == 3

    airflow.pause("aircan_load")
    page.click("#aircan-rerun")
    page.click("#aircan-cancel")
    expect(page.locator(".aircan-run-now .aircan-status")).to_have_text("Cancelled")
    airflow.pause("aircan_load", paused=False)
    assert [job["status"] for job in jobs.ended(resource["id"], 4)] == [
        "CANCELLED",
        "FAILED",
        "FAILED",
        "DONE",
    ]
