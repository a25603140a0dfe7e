"""Make an environment with a real Airflow 2: `python tests/extension/install_airflow2.py FOLDER`.

All of it comes from PyPI and has the Python that runs this, which has to be 3.10, 3.11 or 3.12.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

AIRFLOW = ("apache-airflow==2.11.2", "psycopg2-binary")


def install(folder: Path) -> None:
    """Make the environment; a folder that is there already is emptied."""
    venv.create(folder, clear=True, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, *AIRFLOW], check=True)
    subprocess.run([python, "-c", "import airflow.models"], check=True)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
