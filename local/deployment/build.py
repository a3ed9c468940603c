"""Build the code that `sam deploy` ships: run `sam build`, remove what functions do not use, compile and check sizes.

sam ships no .pyc files, and a function cannot write to its mounted folder. Without .pyc files, every cold start would
compile every module that it imports.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from local.deployment.shipped import is_for_tests
from local.deployment.template import PATH, code_of, load

SAM = Path(".venv/sam/bin/sam")
BUILT = Path(".aws-sam/build")
# The uv of this checkout, for machines without one.
UV = Path(".venv/uv/bin/uv")

# The AWS services that the functions call. botocore contains models of four hundred others.
AWS_SERVICES = {"kms", "lambda", "logs", "sesv2", "sns", "sqs"}

# Budgets in KB (1024 bytes), unzipped. Lambda allows 250 MB for a function with its layers. Before raising a budget,
# check why the size grew: a cold start loads the code.
BUDGETS_KB = {
    "DependenciesLayer": 50 * 1024,
    "Functions": 3300,
}


class BuildFailed(RuntimeError):
    """The build of the functions failed"""


def build() -> dict[str, int]:
    """Build into .aws-sam/build. Return the size in bytes of each function and layer, or raise BuildFailed."""
    python = interpreter(runtime())
    sam = subprocess.run(
        [SAM.absolute(), "build", "--cached", "--parallel", "--template", PATH, "--build-dir", BUILT],
        # sam looks for the interpreter on PATH.
        env=os.environ | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    if sam.returncode != 0:
        raise BuildFailed(f"sam build failed:\n{sam.stderr.strip()}")
    prune(BUILT / "DependenciesLayer" / "python")
    # sam builds a folder once, however many functions share it.
    folders = {
        BUILT / properties[name]: logical_id if name == "ContentUri" else "Functions"
        for logical_id, properties, name in code_of(load(BUILT / PATH))
    }
    for folder, name in folders.items():
        if name == "Functions":
            prune_tests(folder)
        compile_all(folder, python=python, mounted_at="/var/task" if name == "Functions" else "/opt")
    return {
        name: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        for folder, name in folders.items()
    }


def runtime() -> str:
    """Return the version of Python that the functions run on, as in ``3.13``."""
    version: str = load(PATH)["Globals"]["Function"]["Runtime"].removeprefix("python")
    return version


def interpreter(version: str) -> Path:
    """Return a Python of Lambda's minor version, for example ``3.13``. Lambda ignores .pyc files of other versions.

    Raise BuildFailed if PATH, pyenv and uv have none.
    """
    for command in _candidates(version):
        # The name alone proves nothing: pyenv puts a name on PATH for every installed version, also for inactive ones.
        answer = subprocess.run(
            [*command, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"],
            capture_output=True,
            text=True,
        )
        found, _, executable = answer.stdout.strip().partition(" ")
        if answer.returncode == 0 and found == version:
            return Path(executable)
    raise BuildFailed(
        f"The build needs Python {version}, the functions' runtime, but found it neither on PATH nor in pyenv or uv. "
        f"Install it with `uv python install {version}` or `pyenv install {version}`, and try again."
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
    """Remove the models of AWS services that Nightshift does not call: half of the size."""
    for service in (packages / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in AWS_SERVICES:
            shutil.rmtree(service)


def prune_tests(functions: Path) -> None:
    """Remove the tests and the test kit, which are beside the code."""
    for path in list(functions.rglob("*")):
        if is_for_tests(path.relative_to(functions)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def compile_all(folder: Path, *, python: Path, mounted_at: str) -> None:
    """Compile ``folder`` with unchecked .pyc files. In a zip every file is from 1980, so time checks would fail.

    Tracebacks show the function's paths, and every checkout produces the same bytes.
    """
    for stale in folder.rglob("__pycache__"):
        shutil.rmtree(stale)
    how = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", mounted_at]
    compiled = subprocess.run([python, "-m", "compileall", *how, folder], capture_output=True, text=True)
    if compiled.returncode != 0:
        raise BuildFailed(f"Could not compile {folder}:\n{compiled.stdout.strip()}")


def over_budget(sizes: dict[str, int]) -> list[str]:
    """Return an error for each function or layer that exceeds its budget or has none."""
    return [
        f"{name} is {size / 1024:,.0f} KB, over its budget of {BUDGETS_KB.get(name, 0):,} KB "
        "(BUDGETS_KB in local/deployment/build.py)"
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
