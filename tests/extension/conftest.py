"""Real CKANs with the extension, whose Airflow is the one of all tests.

A test that asks for `factory_portal` runs on CKAN 2.12 and on 2.11, one that asks for
`factory_portal_212` on the newer only.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from aiosmtpd.controller import Controller
from parts import Jobs, Mails, Person
from playwright.sync_api import Browser, Page, sync_playwright
from portal import ORGANIZATION, PASSWORD, Portal
from standalone import Airflow

BROWSER_TIMEOUT_MS = 120_000
HOOKS = Path(__file__).with_name("hooks")


@pytest.fixture(scope="session")
def mails() -> Iterator[Mails]:
    """A mail server, and what it got."""
    mails = Mails()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(mails, "127.0.0.1", port)
    controller.start()
    mails.place = f"127.0.0.1:{port}"
    yield mails
    controller.stop()


def _running(
    version: str, folder: Path, airflow: Airflow, artifacts: Path, mails: Mails
) -> Iterator[Portal]:
    ckan_conn_id, datastore_conn_id = f"ckan_{version}", f"datastore_{version}"
    settings = {
        "airflow_url": airflow.url,
        "airflow_username": "admin",
        "airflow_password": "any",
        "ckan_conn_id": ckan_conn_id,
        "datastore_conn_id": datastore_conn_id,
        "formats": "csv tsv",
        "artifacts": str(artifacts),
        "large_bytes": "1000000",
        "poll_s": "1",
        "mail_on_failure": "true",
    }
    settings = {f"ckanext.aircan.{name}": value for name, value in settings.items()}
    portal = Portal(
        version,
        folder,
        plugins=("aircan", "aircan_test_hooks"),
        settings=settings | {"smtp.server": mails.place, "smtp.mail_from": "ckan@example.org"},
        paths=(HOOKS,),
    )
    try:
        portal.start()
        airflow.add_connection(ckan_conn_id, "http", host=portal.url, password=portal.token)
        airflow.add_database(datastore_conn_id, portal.datastore_url)
        yield portal
    finally:
        portal.stop()


@pytest.fixture(scope="session")
def factory_portal_212(
    servers: Path, airflow: Airflow, artifacts: Path, mails: Mails
) -> Iterator[Portal]:
    """CKAN 2.12 with the extension."""
    yield from _running("2.12.0", servers / "factory-2.12", airflow, artifacts, mails)


@pytest.fixture(scope="session")
def factory_portal_211(
    servers: Path, airflow: Airflow, artifacts: Path, mails: Mails
) -> Iterator[Portal]:
    """CKAN 2.11 with the extension."""
    yield from _running("2.11.5", servers / "factory-2.11", airflow, artifacts, mails)


@pytest.fixture(
    scope="session",
    params=["factory_portal_212", "factory_portal_211"],
    ids=["ckan-2.12", "ckan-2.11"],
)
def factory_portal(request: pytest.FixtureRequest) -> Portal:
    """Each CKAN in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def _known() -> dict[str, dict[str, Person]]:
    return {}


@pytest.fixture
def people(factory_portal: Portal, _known: dict[str, dict[str, Person]]) -> dict[str, Person]:
    """Accounts of the portal by what they are: outsider, member and editor of the organisation."""
    if factory_portal.url not in _known:
        _known[factory_portal.url] = {
            role: _register(factory_portal, role) for role in ("outsider", "member", "editor")
        }
    return _known[factory_portal.url]


def _register(portal: Portal, role: str) -> Person:
    name, password = f"some-{role}", f"{PASSWORD}-{role}"
    user = portal.action("user_create", name=name, email=f"{name}@example.org", password=password)
    if role != "outsider":
        portal.action("organization_member_create", id=ORGANIZATION, username=name, role=role)
    token = portal.action("api_token_create", user=name, name="tests")["token"]
    return Person(name, password, token, user["id"])


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A real browser, without a window."""
    path = browser.find()
    assert path, "there is no Chromium or Chrome"
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=path, args=browser.ARGUMENTS)
        yield one
        one.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page in a browser that knows nobody yet."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(BROWSER_TIMEOUT_MS)
    yield context.new_page()
    context.close()


@pytest.fixture
def jobs(factory_portal: Portal) -> Jobs:
    """The jobs of each CKAN in turn."""
    return Jobs(factory_portal)
