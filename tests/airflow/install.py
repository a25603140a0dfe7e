"""Make an environment with a real Airflow and AirCan: `python tests/airflow/install.py FOLDER`.

All of it comes from PyPI, but for AirCan itself, which is this checkout: what is changed in
`loader/` is there with the next start of Airflow.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

AIRFLOW = "apache-airflow==3.3.2"
CHECKOUT = Path(__file__).resolve().parents[2]


def install(folder: Path) -> None:
    """Make the environment; a folder that is there already is emptied."""
    venv.create(folder, clear=True, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, AIRFLOW, "--editable", f"{CHECKOUT}[gcs]"], check=True)
    # From elsewhere: the checkout's own folder would be found there in any case.
    check = [python.absolute(), "-c", "import airflow, loader"]
    subprocess.run(check, check=True, cwd=folder)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
