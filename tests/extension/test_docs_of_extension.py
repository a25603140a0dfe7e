"""What docs/extension.md says is done: its calls are made, its commands run, its hooks asked."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from parts import Jobs
from portal import ENVIRONMENTS, Portal
from standalone import Airflow

PAGE = Path(__file__).parents[2] / "docs" / "extension.md"
CSV = b"station,measured_at,no2\nA,2020-01-01,5\nB,2020-01-01,6\n"


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [content for kind, content in fenced if kind == language]


def calls() -> list[str]:
    """Return the commands of the section on actions."""
    text = blocks("bash")[-1].replace("\\\n", " ")
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_every_call_works(factory_portal_212: Portal, airflow: Airflow):
    portal, jobs = factory_portal_212, Jobs(factory_portal_212)
    resource = portal.new_resource(upload=CSV)
    (job,) = jobs.ended(resource["id"])
    airflow.pause("aircan_validate")
    try:
        waiting = portal.action(
            "aircan_submit", resource_id=resource["id"], dag_id="aircan_validate"
        )
        known = {
            "CKAN": portal.url,
            "TOKEN": portal.token,
            "RESOURCE": resource["id"],
            "DATASET": resource["package_id"],
        }
        assert len(calls()) == 11
        for call in calls():
            of = waiting if "cancel" in call else job
            environment = os.environ | known | {"JOB": of["id"]}
            done = subprocess.run(
                ["sh", "-c", call.replace("curl ", "curl -s ")],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert json.loads(done.stdout)["success"], call
    finally:
        airflow.pause("aircan_validate", paused=False)
    assert portal.action("aircan_settings_show", resource_id=resource["id"]) == {
        "mode": "upsert",
        "unique_keys": ["station", "measured_at"],
        "encoding": "windows-1252",
        "full_text": "text",
        "on_concurrent_writes": "keep",
        "dates": "dmy",
        "missing": "auto",
        "strip": True,
    }


def test_every_command_is_there(factory_portal_212: Portal):
    named = re.findall(r"`ckan aircan (\w+)([^`]*)`", PAGE.read_text("utf-8"))
    for command, rest in named:
        said = factory_portal_212.ckan("aircan", command, "--help")
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in said


def test_the_hooks_do_what_they_say():
    asked = """
try:
    PortalPlugin().before_columns_change({}, [{"id": "latitude"}, {"id": "a"}], [{"id": "b"}])
except toolkit.ValidationError as error:
    print(error.error_dict["columns"][0])
PortalPlugin().before_columns_change({}, [{"id": "a"}], [{"id": "b"}])
print(PortalPlugin().can_load({"name": "draft of a table"}))
"""
    python = ENVIRONMENTS / "2.12.0" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", blocks("python")[0] + asked], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == ["the map needs latitude", "False"], done.stderr
