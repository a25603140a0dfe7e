"""One real CKAN for the tests: its web server and worker, PostgreSQL, Redis; only Solr stands in.

CKAN comes from an environment of its own, which `make test-ckan` makes: below `.ckan`, or below
the folder that AIRCAN_TEST_CKAN names. All that a portal writes is below its folder, and all of its
processes end with this one, however it ends.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import requests
from psycopg import sql
from solr_stand_in import SolrStandIn

from loader.embedded import server as embedded

ENVIRONMENTS = Path(
    os.environ.get("AIRCAN_TEST_CKAN") or Path(__file__).resolve().parents[2] / ".ckan"
)
# PostgreSQL 18 is what a new portal has, 16 what an older one may have.
POSTGRES = {"2.12.0": 18, "2.11.5": 16}

# What is in these databases need not survive a power failure.
UNSAFE = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")

PLUGINS = ("activity", "datastore", "datatables_view", "text_view")
PASSWORD = "portal-password"
ORGANIZATION = "city"
ADMIN, EDITOR = "admin", "editor"
CONSENT = "y\n"  # to "Create new user?"
START_TIMEOUT_S = 400
REQUEST_TIMEOUT_S = 120

# Runs a command until its own standard input closes, which it does when the process that started
# it ends, killed or not. All that the command started dies with it.
KEEPER = """
"$@" </dev/null &
read -r _
kill -TERM $! 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 $! 2>/dev/null && sleep 0.1 || break; done
kill -KILL 0
"""

INI = """
[DEFAULT]
debug = false

[app:main]
use = egg:ckan
ckan.site_id = default
ckan.site_url = {url}
ckan.devserver.host = 127.0.0.1
ckan.devserver.port = {port}
ckan.plugins = {plugins}
ckan.views.default_views = datatables_view text_view
ckan.storage_path = {folder}/storage
ckan.uploads_enabled = true
ckan.max_resource_size = 1000
ckan.auth.create_user_via_web = false
ckan.datastore.sqlsearch.enabled = true
ckan.datastore.background_calculate_record_count_delay = 0.2
ckan.datastore.write_url = {write_url}
ckan.datastore.read_url = {read_url}
sqlalchemy.url = {main_url}
ckan.redis.url = unix://{folder}/redis.sock?db=0
solr_url = {solr_url}
SECRET_KEY = {secret}
WTF_CSRF_SECRET_KEY = {secret}
beaker.session.secret = {secret}
api_token.jwt.encode.secret = string:{secret}
api_token.jwt.decode.secret = string:{secret}

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys = plain

[logger_root]
level = WARNING
handlers = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain

[formatter_plain]
format = %(asctime)s %(levelname)s %(name)s: %(message)s
"""

ROLES = f"""
CREATE ROLE ckan_default LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE datastore_default LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE ckan_default OWNER ckan_default ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE datastore_default OWNER ckan_default ENCODING 'UTF8' TEMPLATE template0;
"""


class Refused(Exception):
    """CKAN did not do what an action asked for.

    Args:
        status: The HTTP status.
        error: What CKAN said, its `error` where there is one.
    """

    def __init__(self, status: int, error: Any) -> None:
        super().__init__(f"{status}: {error}")
        self.status = status
        self.error = error


class Portal:
    """A running CKAN with an organisation, its sysadmin and its editor.

    Args:
        version: The release of CKAN, such as "2.12.0".
        folder: Where all of it is kept; made here.
        postgres: What PostgreSQL is started with.
        plugins: What CKAN runs besides its own.
        settings: Of these plugins.
        paths: Where Python finds plugins that are not installed.
        port: Of its web server; by default a free one.
    """

    def __init__(
        self,
        version: str,
        folder: Path,
        postgres: tuple[str, ...] = UNSAFE,
        plugins: tuple[str, ...] = (),
        settings: Mapping[str, str] | None = None,
        paths: tuple[Path, ...] = (),
        port: int = 0,
    ) -> None:
        self.version = version
        self.plugins = plugins
        self.settings = dict(settings or {})
        self._environment = _environment()
        if paths:
            self._environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))
        self.folder = folder
        self.cluster = embedded.Cluster(folder / "pg", POSTGRES[version], postgres)
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._bin = ENVIRONMENTS / version / "bin"
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        if not (self._bin / "ckan").exists():
            raise FileNotFoundError(
                f"CKAN {version} is not installed in {self._bin.parent}:"
                " `make test-ckan` makes it there"
            )
        folder.mkdir(mode=0o755)
        self._solr = SolrStandIn(version.rpartition(".")[0])

    def start(self) -> None:
        """Bring everything up: about ten seconds."""
        self._make_databases()
        self.ini = self.folder / "ckan.ini"
        self.ini.write_text(self._settings(), encoding="utf-8")
        self._launch("redis", *self._redis())
        with ThreadPoolExecutor() as pool:
            rights, token = pool.submit(self.set_permissions), pool.submit(self._make_admin)
            rights.result()
            self.token = token.result()
        self._launch_web()
        self._launch_worker()
        self._wait_for_web()
        self._make_organization()

    def reconfigure(self, settings: Mapping[str, str]) -> None:
        """Change settings of CKAN's, and start its web server and its worker again."""
        self._end("web", "worker")
        pairs = (f"{name}={value}" for name, value in settings.items())
        self.ckan("config-tool", str(self.ini), *pairs)
        self._launch_web()
        self._launch_worker()
        self._wait_for_web()

    def stop(self) -> None:
        """End every process of this portal but for PostgreSQL, which ends with the test run."""
        self._end(*self._services)
        self._solr.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What `aircan` has to know of this portal."""
        return {
            "AIRCAN_CKAN_URL": self.url,
            "AIRCAN_CKAN_TOKEN": self.token,
            "AIRCAN_DATASTORE_URL": self.datastore_url,
        }

    def action(self, action: str, /, token: str | None = None, **data: Any) -> Any:
        """Call an action with the admin's token, or that which is given ("": none).

        Returns:
            The `result` of CKAN's answer.

        Raises:
            Refused: CKAN answered with an error.
        """
        return self.post(action, token, json=data)

    def post(self, action: str, token: str | None = None, **request: Any) -> Any:
        """Call an action with a request of any form; see `action`."""
        token = self.token if token is None else token
        answer = requests.post(
            f"{self.url}/api/3/action/{action}",
            headers={"Authorization": token} if token else {},
            timeout=REQUEST_TIMEOUT_S,
            **request,
        )
        try:
            body = answer.json()
        except ValueError:
            raise Refused(answer.status_code, answer.text[:500]) from None
        if not (answer.ok and body["success"]):
            raise Refused(answer.status_code, body.get("error"))
        return body["result"]

    def new_dataset(self, *, private: bool = False, **fields: Any) -> dict[str, Any]:
        """Make an empty dataset of the organisation."""
        fields = {"name": f"dataset-{uuid.uuid4().hex[:12]}", **fields}
        return self.action("package_create", owner_org=ORGANIZATION, private=private, **fields)

    def new_resource(
        self,
        url: str | None = None,
        *,
        upload: bytes | None = None,
        name: str = "data.csv",
        private: bool = False,
        package_id: str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Make a resource in a dataset of its own, or in the one that is named.

        Args:
            url: Where its file is, unless it is uploaded; by default nowhere.
            upload: The content of its file.
            name: Its name, and that of the uploaded file.
            private: Whether the new dataset is.
            package_id: The dataset to add it to.
            **fields: Any other field of the resource.
        """
        data = {"name": name, "format": "CSV", **fields}
        if upload is None:
            data["url"] = url or f"{self.url}/none.csv"
            if package_id is None and not self.plugins:  # a plugin may wait for resource_create
                return self.new_dataset(private=private, resources=[data])["resources"][0]
        data["package_id"] = package_id or self.new_dataset(private=private)["id"]
        if upload is not None:
            return self.post("resource_create", data=data, files={"upload": (name, upload)})
        return self.action("resource_create", **data)

    def log_in(
        self, session: requests.Session, user: str = ADMIN, password: str = PASSWORD
    ) -> None:
        """Log a session in by CKAN's form."""
        form = {"login": user, "password": password} | self.csrf(session, f"{self.url}/user/login")
        answer = session.post(f"{self.url}/user/login", data=form, timeout=REQUEST_TIMEOUT_S)
        assert answer.ok, answer.text[:500]
        assert "/user/login" not in answer.url, f"{user} was not let in"

    def csrf(self, session: requests.Session, page: str) -> dict[str, str]:
        """Return the token of a page's forms."""
        text = session.get(page, timeout=REQUEST_TIMEOUT_S).text
        found = re.search(r'name="_csrf_token" +(?:content|value)="([^"]+)"', text)
        assert found, text[:500]
        return {"_csrf_token": found[1]}

    def search(self, resource_id: str, **params: Any) -> dict[str, Any]:
        """Call datastore_search."""
        return self.action("datastore_search", resource_id=resource_id, **params)

    def ckan(self, *arguments: str) -> str:
        """Run CKAN's own command; return what it printed."""
        return self._run(*self._ckan_command, *arguments)

    def drop_tables_of_deleted_resources(self) -> None:
        """Drop what tests of deletions have left: CKAN would ask before it purges."""
        with psycopg.connect(self.main_url) as connection:
            there = connection.execute("SELECT id FROM resource WHERE state = 'active'").fetchall()
        with psycopg.connect(self.datastore_url) as connection:
            found = connection.execute(
                "SELECT DISTINCT name FROM _table_metadata WHERE alias_of IS NULL"
            ).fetchall()
            for (name,) in set(found) - set(there):
                if not name.startswith("_"):
                    table = sql.Identifier(name)
                    connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(table))

    def set_permissions(self) -> str:
        """Run `ckan datastore set-permissions` and its SQL; return what psql complained of."""
        sql = self.ckan("datastore", "set-permissions")
        done = subprocess.run(
            [self.cluster.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", self.admin_url],
            input=sql,
            capture_output=True,
            text=True,
            env=_environment() | {"PGOPTIONS": "-c client_min_messages=warning"},
            timeout=START_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def log(self, service: str) -> str:
        """Return what "web", "worker" or "redis" wrote."""
        return (self.folder / f"{service}.log").read_text(encoding="utf-8", errors="replace")

    def _make_databases(self) -> None:
        with psycopg.connect(self.cluster.start(), autocommit=True) as connection:
            for statement in filter(str.strip, ROLES.split(";")):
                connection.execute(statement)
        place = f"?host={self.folder}/pg&port=5432"
        writer, reader = f"ckan_default:{PASSWORD}", f"datastore_default:{PASSWORD}"
        self.main_url = f"postgresql://{writer}@/ckan_default{place}"
        self.datastore_url = f"postgresql://{writer}@/datastore_default{place}"
        self.read_url = f"postgresql://{reader}@/datastore_default{place}"
        self.admin_url = f"postgresql://{embedded.SUPERUSER}@/datastore_default{place}"

    def _settings(self) -> str:
        settings = {
            "plugins": " ".join((*PLUGINS, *self.plugins)),
            "url": self.url,
            "port": self.port,
            "folder": self.folder,
            "write_url": self.datastore_url,
            "read_url": self.read_url,
            "main_url": self.main_url,
            "solr_url": self._solr.url,
            "secret": secrets.token_urlsafe(32),
        }
        more = "".join(f"{name} = {value}\n" for name, value in self.settings.items())
        return INI.format(**settings).replace("\n[loggers]", f"{more}\n[loggers]")

    def _redis(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": f"{self.folder}/redis.sock",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
        }
        pairs = (word for name, value in options.items() for word in (f"--{name}", value))
        return [str(self._bin / "redis-server"), *pairs]

    def _launch_web(self) -> None:
        server = ("-H", "127.0.0.1", "-p", str(self.port), "--disable-reloader", "--threaded")
        self._launch("web", *self._ckan_command, "run", *server, "--disable-debugger")

    def _launch_worker(self) -> None:
        self._launch("worker", *self._ckan_command, "jobs", "worker")

    @property
    def _ckan_command(self) -> tuple[str, ...]:
        return str(self._bin / "ckan"), "-c", str(self.ini)

    def _launch(self, name: str, *command: str) -> None:
        """Start a service of this portal, which ends with this process at the latest."""
        with (self.folder / f"{name}.log").open("wb") as log:
            service = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment,
                start_new_session=True,
            )
        self._services[name] = service

    def _end(self, *names: str) -> None:
        ending = [self._services.pop(name) for name in names]
        for service in ending:
            if service.stdin:
                service.stdin.close()
        for service in ending:
            service.wait(timeout=60)

    def _make_admin(self) -> str:
        """Make CKAN's tables and a sysadmin; return the sysadmin's token."""
        account = (f"email={ADMIN}@example.org", f"password={PASSWORD}")
        commands = [
            ("db", "init"),
            *(("db", "upgrade", "-p", plugin) for plugin in self.plugins if plugin == "aircan"),
            ("sysadmin", "add", ADMIN, *account),
            ("user", "token", "add", ADMIN, "tests", "--quiet"),
        ]
        script = Path(__file__).with_name("commands.py")
        python = str(self._bin / "python")
        said = self._run(python, str(script), str(self.ini), json.dumps(commands), stdin=CONSENT)
        return said.split()[-1]

    def _run(self, *command: str, stdin: str = "") -> str:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self._environment,
            timeout=START_TIMEOUT_S,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-3000:]}"
        return done.stdout

    def _wait_for_web(self) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.action("status_show")
            except (requests.ConnectionError, Refused) as error:
                if time.monotonic() > end:
                    raise TimeoutError(f"CKAN {self.version}: {self.log('web')}") from error
                time.sleep(0.1)
            else:
                return

    def _make_organization(self) -> None:
        self.action("organization_create", name=ORGANIZATION, title="The City")
        password = f"{PASSWORD}-{EDITOR}"
        self.action("user_create", name=EDITOR, email="editor@example.org", password=password)
        self.action("organization_member_create", id=ORGANIZATION, username=EDITOR, role="editor")
        self.editor_token = self.action("api_token_create", user=EDITOR, name="tests")["token"]


def _free_port() -> int:
    """Return a port below those that the system gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _environment() -> dict[str, str]:
    """Return the environment without what would lead CKAN or psql elsewhere."""
    left_out = ("PG", "CKAN", "AIRCAN_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
