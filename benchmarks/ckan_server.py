"""The portal that is measured against: a real CKAN 2.12 with ckanext-xloader, as both come.

In: the environment of the tests' CKAN, into which ckanext-xloader is installed. Out: a
:class:`Site`, gone with its folder at the end. Memory: none to speak of; CKAN, its worker,
PostgreSQL, Redis and the web server of the files are processes of their own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.server import Server

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from portal import ENVIRONMENTS, Portal, Refused

CKAN = "2.12.0"
XLOADER = "2.6.0"

# What initdb takes from the machine's locale must not decide how much work words are.
_ENGLISH = "ALTER DATABASE datastore_default SET default_text_search_config = 'pg_catalog.english'"


@dataclass(frozen=True)
class Site:
    """A running portal, its DataStore's server, and where files are for CKAN to fetch.

    Args:
        portal: CKAN with its worker.
        server: The database of its DataStore.
        folder: What is put here ...
        url: ... is served below this URL.
    """

    portal: Portal
    server: Server
    folder: Path
    url: str

    def search(self, resource_id: str, **params: Any) -> dict[str, Any] | None:  # noqa: ANN401
        """Call datastore_search; return None when there is no table yet."""
        try:
            found: dict[str, Any] = self.portal.search(resource_id, **params)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        return found


@contextmanager
def site() -> Iterator[Site]:
    """Start all of it in a temporary folder; stop it and delete the folder at the end.

    PostgreSQL is the embedded one with its settings as they come: what is loaded is safe on disk.

    Raises:
        FileNotFoundError: There is no environment with CKAN.
        subprocess.CalledProcessError: ckanext-xloader cannot be installed.
    """
    with tempfile.TemporaryDirectory(prefix="aircan-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # for root, whose server runs as another user
        portal = Portal(CKAN, folder / "ckan", postgres=())
        _install_xloader()
        try:
            portal.start()
            server = Server(portal.cluster.psql, portal.admin_url, portal.datastore_url)
            server.run(_ENGLISH, admin=True)
            portal.reconfigure(_settings(portal))
            files = folder / "files"
            files.mkdir()
            with _served(files) as url:
                yield Site(portal, server, files, url)
        finally:
            portal.stop()
            portal.cluster.stop()


def _install_xloader() -> None:
    python = ENVIRONMENTS / CKAN / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, f"ckanext-xloader=={XLOADER}"], check=True)


def _settings(portal: Portal) -> dict[str, str]:
    """Return what xloader needs to run; all else is as it comes.

    Its jobs are in PostgreSQL, which it advises for production. No format is loaded as soon as a
    resource is made: each way starts when it is told to.
    """
    return {
        "ckan.plugins": "activity datastore xloader datatables_view text_view",
        "ckanext.xloader.api_token": portal.token,
        "ckanext.xloader.jobs_db.uri": portal.main_url,
        "ckanext.xloader.formats": "",
    }


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve a folder from a process of its own, and return its URL."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--directory", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()  # "Serving HTTP on 127.0.0.1 port 40000 (http://..."
            yield f"http://127.0.0.1:{said.split()[5]}"
        finally:
            process.terminate()
