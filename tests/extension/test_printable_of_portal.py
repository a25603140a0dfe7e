"""What `ckan aircan` prints of others' words moves no cursor, as `aircan` itself does it."""

from __future__ import annotations

import sys
import time
import unicodedata
import uuid

import pytest
from ckanext.aircan.printable import one_line
from portal import Portal

from loader import printable

HARMFUL = (
    "\x1b[2J\x1b]0;pwned\x07\x9b1m\r\n\x85\u2028\u202e\u2066\u200b\u00ad\ufeff\U000e0041\u3164\x7f"
)
KINDS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def test_every_character_is_shown_as_aircan_shows_it():
    for code in range(sys.maxunicode + 1):
        text = f"a{chr(code)}b"
        assert one_line(text) == printable.one_line(text), hex(code)


def is_harmless(said: str) -> bool:
    return not {unicodedata.category(c) for c in said if c != "\n"} & KINDS and "\u3164" not in said


def printed(portal: Portal, *arguments: str) -> str:
    """Return what a command says, of its failure too."""
    try:
        return portal.ckan("aircan", *arguments)
    except AssertionError as error:
        return str(error).partition(": ")[2]


@pytest.mark.parametrize("name", ["evil", "stumbled over"])
def test_names_and_faults_of_plugins(factory_portal: Portal, name: str):
    """A plugin stumbles over one of them, and says over what."""
    resource = factory_portal.new_resource(format="TXT", name=f"{name} {HARMFUL} name")
    for arguments in (("--dry-run",), (), ("--force",)):
        said = printed(factory_portal, "submit", resource["id"], *arguments)
        assert resource["id"] in said
        assert said.count(f"{name} \ufffd[2J") == (2 if name == "stumbled over" else 1), said
        assert is_harmless(said), said
        assert len(said.strip().splitlines()) <= 3


def test_what_is_told_of_a_job(factory_portal: Portal):
    resource = factory_portal.new_resource(format="TXT")["id"]
    factory_portal.action(
        "aircan_status_update",
        job_type="LOAD",
        dag_id="aircan_load",
        run_id=f"manual__{uuid.uuid4()}",
        resource_id=resource,
        sequence=time.time_ns() // 1000,
        status="RUNNING",
        step="load",
        message=f"copying {HARMFUL} rows",
    )
    for arguments in ((resource,), ()):
        said = printed(factory_portal, "status", *arguments)
        assert "copying \ufffd[2J" in said
        assert is_harmless(said), said


@pytest.mark.parametrize("command", ["status", "submit"])
def test_what_is_not_there(factory_portal: Portal, command: str):
    said = printed(factory_portal, command, f"none{HARMFUL}")
    assert "none\ufffd[2J" in said
    assert is_harmless(said), said
