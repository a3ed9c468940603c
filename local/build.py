"""What `sam deploy` ships: built by sam, then pruned, compiled and weighed.

sam ships no .pyc, and a function cannot write where it is mounted: every cold start would compile all that it imports.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from local.template import PATH, code_of, load

SAM = Path(".venv/sam/bin/sam")
BUILT = Path(".aws-sam/build")
# The checkout's own, where the machine has none.
UV = Path(".venv/uv/bin/uv")

# All that the functions call; botocore brings the models of four hundred others.
AWS_SERVICES = {"kms", "logs", "sesv2", "sqs"}

# KB (1024 bytes), unzipped. Lambda allows 250 MB for a function with its layers; what comes near one of these is
# worth a look before the number is raised, since a cold start loads it.
BUDGETS_KB = {
    "DependenciesLayer": 50 * 1024,
    "NightshiftLayer": 1100,
    "SqlLayer": 400,
    "ApiFunction": 150,
    "DashboardFunction": 160,
    "MigrateFunction": 20,
    "NotifyFunction": 20,
    "OpsFunction": 20,
    "ScheduleFunction": 20,
    "SetupFunction": 20,
    "SweepFunction": 20,
    "WorkerFunction": 300,
}


class BuildFailed(RuntimeError):
    """The functions could not be built"""


def build() -> dict[str, int]:
    """The size in bytes of each function and layer, now in .aws-sam/build. Raises BuildFailed."""
    python = interpreter(runtime())
    sam = subprocess.run(
        [SAM.absolute(), "build", "--cached", "--parallel", "--template", PATH, "--build-dir", BUILT],
        # sam looks for the interpreter there.
        env=os.environ | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    if sam.returncode != 0:
        raise BuildFailed(f"sam build failed:\n{sam.stderr.strip()}")
    prune(BUILT / "DependenciesLayer" / "python")
    sizes = {}
    for logical_id, properties, name in code_of(load(BUILT / PATH)):
        folder = BUILT / properties[name]
        # What sam leaves where it is holds no Python.
        if folder.is_relative_to(BUILT):
            compile_all(folder, python=python, mounted_at="/opt" if name == "ContentUri" else "/var/task")
        sizes[logical_id] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return sizes


def runtime() -> str:
    """Return the version of Python that the functions run on, as in ``3.13``."""
    version: str = load(PATH)["Globals"]["Function"]["Runtime"].removeprefix("python")
    return version


def interpreter(version: str) -> Path:
    """A Python of Lambda's own minor version, as ``3.13``: .pyc of another one would be passed over.

    Raises BuildFailed when PATH, pyenv and uv have none.
    """
    for command in _candidates(version):
        # The name alone proves nothing: pyenv puts one on PATH for every version that somebody has installed.
        answer = subprocess.run(
            [*command, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"],
            capture_output=True,
            text=True,
        )
        found, _, executable = answer.stdout.strip().partition(" ")
        if answer.returncode == 0 and found == version:
            return Path(executable)
    raise BuildFailed(
        f"The functions run on Python {version}, and it is not on this machine: neither on PATH nor in pyenv or uv. "
        f"Install it, with `uv python install {version}` or `pyenv install {version}`, and try again."
    )


def _candidates(version: str) -> Iterator[list[str]]:
    name = f"python{version}"
    if on_path := shutil.which(name):
        yield [on_path]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from ([str(path)] for path in sorted(pyenv.glob(f"versions/{version}.*/bin/{name}")))
    if uv := shutil.which("uv") or (str(UV) if UV.exists() else None):
        yield [uv, "run", "--no-project", "--no-python-downloads", "--python", version, "python"]


def prune(packages: Path) -> None:
    """Leave out the AWS services that nobody here calls: half of all that would be shipped."""
    for service in (packages / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in AWS_SERVICES:
            shutil.rmtree(service)


def compile_all(folder: Path, *, python: Path, mounted_at: str) -> None:
    """Unchecked: in a zip every file is of 1980, so that a .pyc that compares times would be taken for stale.

    The paths in tracebacks are those of the function, and the bytes the same from every checkout.
    """
    for stale in folder.rglob("__pycache__"):
        shutil.rmtree(stale)
    how = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", mounted_at]
    compiled = subprocess.run([python, "-m", "compileall", *how, folder], capture_output=True, text=True)
    if compiled.returncode != 0:
        raise BuildFailed(f"{folder} could not be compiled:\n{compiled.stdout.strip()}")


def over_budget(sizes: dict[str, int]) -> list[str]:
    """A sentence for each that is larger than its budget, or has none."""
    return [
        f"{name} has {size / 1024:,.0f} KB, its budget is {BUDGETS_KB.get(name, 0):,} KB (BUDGETS_KB in local/build.py)"
        for name, size in sizes.items()
        if size > BUDGETS_KB.get(name, 0) * 1024
    ]


def main() -> None:
    try:
        sizes = build()
    except BuildFailed as exc:
        sys.exit(str(exc))
    for name, size in sizes.items():
        print(f"{name:20}{size / 1024:>10,.0f} KB of {BUDGETS_KB.get(name, 0):>7,} KB")
    if excess := over_budget(sizes):
        sys.exit("\n".join(excess))


if __name__ == "__main__":
    main()
