"""The browser that the tests of pages drive: Chromium, or Chrome, of this machine.

`python tests/extension/browser.py` installs Debian's Chromium if there is none and it may.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# As root it has no sandbox, and it would look for Google's hosts at every start.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find() -> str | None:
    """Return the path of a browser: AIRCAN_TEST_BROWSER, or one on the PATH."""
    named = os.environ.get("AIRCAN_TEST_BROWSER")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


def install() -> None:
    """Install Debian's Chromium, if there is no browser."""
    if find():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit("The tests of pages need Chromium or Chrome: install one, and try again")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "--no-install-recommends", "chromium"],
    ):
        subprocess.run(command, check=True, env=quiet, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    install()
