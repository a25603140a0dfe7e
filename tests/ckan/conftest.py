"""Real portals: CKAN 2.12 with PostgreSQL 18, CKAN 2.11 with PostgreSQL 16.

A test that asks for `portal` runs on both, one that asks for `portal_212` on the newer only.
Each of them starts once in a test run, when a test first asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from portal import Portal


def _running(version: str, folder: Path) -> Iterator[Portal]:
    portal = Portal(version, folder)
    try:
        portal.start()
        yield portal
    finally:
        portal.stop()


@pytest.fixture(scope="session")
def portal_212(servers: Path) -> Iterator[Portal]:
    """CKAN 2.12."""
    yield from _running("2.12.0", servers / "ckan-2.12")


@pytest.fixture(scope="session")
def portal_211(servers: Path) -> Iterator[Portal]:
    """CKAN 2.11."""
    yield from _running("2.11.5", servers / "ckan-2.11")


@pytest.fixture(
    scope="session", params=["portal_212", "portal_211"], ids=["ckan-2.12", "ckan-2.11"]
)
def portal(request: pytest.FixtureRequest) -> Portal:
    """Each CKAN in turn."""
    return request.getfixturevalue(request.param)
