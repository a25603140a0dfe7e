"""The server that is measured against: an embedded PostgreSQL 18, set up as CKAN sets up its own.

In: nothing. Out: a :class:`Server`, gone with its folder at the end. Memory: none to speak of;
all SQL goes through the wheel's psql, so that the runner itself stays small.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loader.embedded import server as embedded

DATABASE = "benchmark"
WRITE_ROLE = "ckan_default"
READ_ROLE = "datastore_default"

# CKAN's trigger: a row without a _full_text gets one made of all its values in JSON form, those
# of its own columns (their names begin with an underscore) left out.
_FULL_TEXT_FUNCTION = r"""
CREATE FUNCTION populate_full_text_trigger() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF NEW._full_text IS NULL THEN
        SELECT to_tsvector(string_agg(value, ' ')) INTO NEW._full_text
        FROM json_each_text(row_to_json(NEW.*))
        WHERE key NOT LIKE '\_%';
    END IF;
    RETURN NEW;
END $body$
"""


@dataclass(frozen=True)
class Server:
    """A running server, as its administrator and as CKAN's write role."""

    psql: Path
    admin_url: str
    url: str

    def run(self, *statements: str, admin: bool = False) -> str:
        """Run SQL and return what it prints, one line a row, columns parted by ``|``.

        Args:
            statements: Each in a transaction of its own.
            admin: Whether to run them as the administrator.
        Returns: The output without its last line end.
        Raises: subprocess.CalledProcessError: a statement failed; psql said why on stderr.
        """
        url = self.admin_url if admin else self.url
        command = self.psql_command("SET client_min_messages = warning", *statements, url=url)
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.rstrip("\n")

    def psql_command(self, *statements: str, url: str | None = None) -> list[str]:
        """Return the command line of one psql process that runs the statements in turn."""
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        commands = [part for statement in statements for part in ("-c", statement)]
        return [str(self.psql), *options, *commands, url or self.url]

    def settle(self) -> None:
        """Write everything to disk, so that one measurement does not pay for the last one."""
        self.run("CHECKPOINT", admin=True)


@contextmanager
def embedded_server() -> Iterator[Server]:
    """Start a server in a temporary folder; stop it and delete the folder at the end."""
    with tempfile.TemporaryDirectory(prefix="aircan-bench-") as folder:
        Path(folder).chmod(0o755)  # for root, whose server runs as another user
        cluster = embedded.Cluster(Path(folder) / "postgres-18")
        admin_url = cluster.start()
        try:
            server = Server(
                psql=cluster.psql,
                admin_url=admin_url,
                url=admin_url.replace(
                    f"{embedded.SUPERUSER}@/{embedded.DATABASE}", f"{WRITE_ROLE}@/{DATABASE}"
                ),
            )
            _set_up(server)
            yield server
        finally:
            cluster.stop()


def _set_up(server: Server) -> None:
    """Create the roles, the database and the function of a DataStore."""
    server.run(
        f"CREATE ROLE {WRITE_ROLE} LOGIN",
        f"CREATE ROLE {READ_ROLE} LOGIN",
        f"CREATE DATABASE {DATABASE} OWNER {WRITE_ROLE}",
        # initdb takes it from the machine's locale; the work of parsing words must not.
        f"ALTER DATABASE {DATABASE} SET default_text_search_config = 'pg_catalog.english'",
        admin=True,
    )
    server.run(
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {READ_ROLE}",
        _FULL_TEXT_FUNCTION,
    )
