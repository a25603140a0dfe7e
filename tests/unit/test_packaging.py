"""What setup.cfg promises to whoever installs the package."""

import ast
import re
import subprocess
import sys
from configparser import ConfigParser
from importlib.metadata import files
from pathlib import Path

from packaging.requirements import Requirement

import loader

ROOT = Path(__file__).parents[2]
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")


def requirements(section: str, option: str) -> list[Requirement]:
    lines = SETUP[section][option].splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


# The standard library's of a later Python or of type checkers; smart-open[zst] brings backports.
NOT_OURS_TO_DECLARE = {"_typeshed", "backports", "compression"}


def imported_by_the_library() -> set[str]:
    """Top-level names that loader/ imports, the standard library's and its own left out."""
    names = set()
    for path in (ROOT / "loader").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - NOT_OURS_TO_DECLARE - {"loader"}


def test_every_import_of_the_library_is_a_declared_dependency() -> None:
    declared = requirements("options", "install_requires")
    for extra in ("embedded", "gcs"):
        declared += requirements("options.extras_require", extra)
    offered = {
        file.parts[0].removesuffix(".py")
        for requirement in declared
        for file in files(requirement.name) or []
    }
    # Airflow is in an environment of its own; what its extra asks for is not installed here.
    dags = {one.name for one in requirements("options.extras_require", "dags")}
    offered |= {{"apache-airflow": "airflow"}.get(name, name) for name in dags}
    assert imported_by_the_library() - offered == set()


def test_every_dependency_has_a_lower_bound() -> None:
    found = requirements("options", "install_requires")
    for extra in ("embedded", "gcs", "dags"):
        found += requirements("options.extras_require", extra)
    assert all(">=" in str(requirement.specifier) for requirement in found)


def test_every_package_of_the_library_is_shipped() -> None:
    folders = {path.parent for path in (ROOT / "loader").rglob("*.py")}
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert packages == set(SETUP["options"]["packages"].split())


def test_both_packages_the_command_and_the_changelog_have_one_version() -> None:
    code = "from loader.cli.commands import main; main()"
    said = subprocess.run(
        [sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True
    )
    extension = ConfigParser()
    extension.read(ROOT / "ckanext-aircan" / "setup.cfg", encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall("^## ([0-9.]+) ", changes, re.MULTILINE)
    assert said.stdout == f"aircan {loader.__version__}\n"
    assert extension["metadata"]["version"] == loader.__version__
    assert versions[0] == loader.__version__
    assert SETUP["metadata"]["version"] == "attr: loader.__version__"
    assert "aircan = loader.cli.commands:main" in SETUP["options.entry_points"]["console_scripts"]


def test_what_checks_a_commit_is_in_the_environment_of_the_tests() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    commands = re.findall(r"entry: \.venv/bin/([\w-]+)", hooks)
    assert len(commands) == hooks.count("- id: ")
    assert set(commands) <= {one.name for one in requirements("options.extras_require", "dev")}
