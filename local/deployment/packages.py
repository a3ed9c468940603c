"""Make reproducible zips for the deployment, and install the third-party packages once."""

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from local.aws import PYTHON
from local.deployment.shipped import is_for_tests
from local.processes import MARK
from local.venv import pip, pip_environment

# The earliest time that a zip can store.
EPOCH = (1980, 1, 1, 0, 0, 0)


def zipped(folder: Path, *, prefix: str = "") -> bytes:
    """Return a zip of the files of ``folder`` that are shipped, below ``prefix``. Equal files give equal bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(files_in(folder)):
            entry = zipfile.ZipInfo(prefix + path.relative_to(folder).as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            # An editor may have removed the file since it was listed.
            with contextlib.suppress(FileNotFoundError):
                target.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files of ``folder``, and those that its links lead to: functions/sql is one, as sam follows it.

    Leave out tests, and what Python and editors keep beside them: __pycache__, hidden files and copies ending in ~.
    """
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        paths = (Path(parent, name) for name in names if not name.startswith(".") and not name.endswith("~"))
        yield from (path for path in paths if not is_for_tests(path.relative_to(folder)))


def installed_dependencies(
    requirements: Path, *, checkout: Path, build: Path, folder: Path, say: Callable[[str], None]
) -> Path:
    """Return the folder with the packages of ``requirements``. Install them first if ``requirements`` has changed.

    The packages are for local AWS's interpreter. The stacks of a checkout share ``build``; ``folder`` is the calling
    stack's. Raise RuntimeError with the last line of pip's output.
    """
    target = build / f"dependencies-{_digest(requirements)}"
    if target.exists():
        return target
    build.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone_in(build):
        if target.exists():
            return target
        say("Installing the functions' packages (only when requirements change) …")
        for left in build.glob("unfinished-*"):
            shutil.rmtree(left, ignore_errors=True)
        half_done = Path(tempfile.mkdtemp(prefix="unfinished-", dir=build))
        # Python compiles a module when it is first imported. Most modules of these packages never are.
        how = ("--no-deps", "--no-compile", "--require-hashes")
        wish = (*how, "--requirement", str(requirements), "--target", str(half_done))
        # The mark lets the next start end a pip that outlives a killed start.
        environment = pip_environment() | {MARK: str(folder)}
        command = pip(checkout / PYTHON, *wish, of=Path(sys.executable))
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            shutil.rmtree(half_done)
            raise RuntimeError("Could not install the functions' packages: " + done.stderr.strip().split("\n")[-1])
        # Renamed at the end, so that an interrupted installation does not look complete.
        half_done.rename(target)
    return target


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lock ``folder``; another start waits. The lock ends with the process in every case."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _digest(requirements: Path) -> str:
    return hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
