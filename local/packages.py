"""What is deployed, as zips that depend on nothing but their content; and the third-party packages, installed once."""

import contextlib
import hashlib
import io
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from local.aws import PYTHON

# Zip knows no earlier time.
EPOCH = (1980, 1, 1, 0, 0, 0)


def zipped(folder: Path, *, prefix: str = "") -> bytes:
    """The files of ``folder``, below ``prefix``, in an archive that only changes when they do."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                entry = zipfile.ZipInfo(prefix + path.relative_to(folder).as_posix(), EPOCH)
                entry.external_attr = 0o644 << 16
                target.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def installed_dependencies(requirements: Path, *, checkout: Path, build: Path, say: Callable[[str], None]) -> Path:
    """The folder with the packages of ``requirements`` for the engine's interpreter; installed when they have changed.

    Raises RuntimeError with pip's last words.
    """
    target = build / f"dependencies-{_digest(requirements)}"
    if target.exists():
        return target
    say("Installing the functions' packages (only when they have changed) …")
    build.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as unfinished:
        half_done = Path(unfinished, "packages")
        command = [
            str(checkout / PYTHON),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        pip = subprocess.run(
            [*command, "--require-hashes", "--requirement", str(requirements), "--target", str(half_done)],
            capture_output=True,
            text=True,
        )
        if pip.returncode != 0:
            raise RuntimeError("Could not install the functions' packages: " + pip.stderr.strip().split("\n")[-1])
        # Takes its name at the end, so that an interrupted installation is not taken for a whole one.
        with contextlib.suppress(OSError):  # somebody else was faster, with the same
            half_done.rename(target)
    return target


def _digest(requirements: Path) -> str:
    return hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
