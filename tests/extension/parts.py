"""What the tests of the extension look through: jobs, people, mails, a browser's login."""

from __future__ import annotations

import email
import email.policy
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import Envelope
from playwright.sync_api import Page
from portal import Portal


@dataclass(frozen=True)
class Person:
    """Somebody with an account; their password is what `Portal.log_in` takes."""

    name: str
    password: str
    token: str
    id: str


class Jobs:
    """The jobs of a portal, as its API shows them."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal

    def of(self, resource_id: str) -> list[dict[str, Any]]:
        """Return all jobs of a resource, the newest first."""
        return self.portal.action("aircan_job_list", resource=resource_id)["jobs"]

    def of_dataset(self, dataset: str) -> list[dict[str, Any]]:
        """Return all jobs of a dataset."""
        return self.portal.action("aircan_job_list", dataset=dataset)["jobs"]

    def ended(self, resource_id: str, count: int = 1) -> list[dict[str, Any]]:
        """Return the jobs of a resource once there are so many, and all have ended."""

        def look() -> list[dict[str, Any]] | None:
            found = self.of(resource_id)
            over = all(job["status"] not in ("WAITING", "RUNNING") for job in found)
            return found if len(found) >= count and over else None

        return until(look)


class Mails:
    """A handler of aiosmtpd's that keeps what it gets."""

    place: str

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: N802
        self.got.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


def log_in(page: Page, portal: Portal, user: str, password: str) -> None:
    """Log in by CKAN's form."""
    page.goto(f"{portal.url}/user/login")
    page.fill("#field-login", user)
    page.fill("#field-password", password)
    page.click("button[type=submit]:has-text('Login')")


def until(question: Callable[[], Any], timeout_s: float = 240) -> Any:
    """Ask until the answer is true; return it."""
    end = time.monotonic() + timeout_s
    while not (answer := question()):
        assert time.monotonic() < end, "it never was"
        time.sleep(0.2)
    return answer
