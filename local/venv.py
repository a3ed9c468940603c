"""``python -I local/venv.py FOLDER REQUIREMENTS [--pip-of OTHER]``: create a virtual environment, or replace it.

It runs before anything is installed, so it uses only the standard library, and even an outdated Python must parse it.
"""

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)

# The developer's settings for package sources are kept. Settings for targets (PIP_TARGET, PIP_USER) and constraints
# (PIP_CONSTRAINT) are removed: with them pip would fail or install elsewhere.
FROM_WHERE = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST", "PIP_CONFIG_FILE"),
    *("PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_RETRIES", "PIP_TIMEOUT", "PIP_CACHE_DIR", "PIP_NO_CACHE_DIR"),
)


def pip_environment() -> "dict[str, str]":
    return {
        name: value
        for name, value in os.environ.items()
        if name in FROM_WHERE or not name.startswith(("PIP_", "PYTHON", "VIRTUAL_ENV"))
    }


# The pip that a Python brings takes twice as long for an environment with a hundred packages.
PIP = Path("local/requirements/pip.txt")


def pip(python: Path, *arguments: str, of: "Path | None" = None) -> "list[str]":
    """Return the command that installs ``arguments`` for ``python``, with its own pip or with that ``of`` another."""
    return [
        *(str(of or python), "-I", "-m", "pip", *(["--python", str(python)] if of else [])),
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-user",
        *arguments,
    ]


def make(folder: Path, requirements: Path, *, with_checkout: bool, pip_of: "Path | None", lock: int) -> None:
    """Create the environment, or raise CalledProcessError. The file ``ready`` marks a complete one and its time.

    Without ``pip_of``, another environment, it has a pip of its own.

    Child processes inherit the descriptor ``lock``, so the next make also waits for those that outlive a killed make.
    """

    def run(command: "list[str]") -> None:
        subprocess.run(command, env=pip_environment(), check=True, pass_fds=(lock,))

    ready, python = folder / "ready", folder / "bin" / "python"
    theirs = pip_of and pip_of / "bin" / "python"
    asks = [requirements, *([Path("pyproject.toml"), PIP] if with_checkout else [])]
    if ready.exists() and all(ready.stat().st_mtime >= each.stat().st_mtime for each in asks):
        return  # another make created it while this one waited
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
    ready.unlink(missing_ok=True)
    run([sys.executable, "-I", "-m", "venv", *(["--without-pip"] if theirs else []), str(folder)])
    for each in [*([PIP] if with_checkout else []), requirements]:
        # Python compiles a module when it is first imported. Most modules of these packages never are.
        run(pip(python, "--no-deps", "--no-compile", "--require-hashes", "-r", str(each), of=theirs))
    if with_checkout:
        run(pip(python, "--no-deps", "--no-build-isolation", "--editable", "."))
    ready.touch()


def main() -> None:
    if sys.version_info < OLDEST:
        sys.exit(
            "Nightshift needs Python 3.11 or newer, got {}.{}. Try: make PYTHON=python3.13".format(*sys.version_info)
        )
    parser = argparse.ArgumentParser(prog="local/venv.py", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("requirements", type=Path)
    parser.add_argument("--with-checkout", action="store_true", help="install this checkout in editable mode")
    parser.add_argument("--pip-of", type=Path, metavar="OTHER", help="use the pip of this environment")
    options = parser.parse_args()
    # Lock the requirements, which only this environment has. The lock ends with the processes that hold it.
    lock = os.open(str(options.requirements), os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another make is setting up {options.folder}. Waiting for it …", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        wish = {"with_checkout": options.with_checkout, "pip_of": options.pip_of}
        make(options.folder, options.requirements, **wish, lock=lock)
    except (OSError, subprocess.CalledProcessError) as exc:
        sys.exit(f"Could not set up {options.folder}: {exc}")


if __name__ == "__main__":
    main()
