"""A checkout's virtual environments: complete or created anew; with the test's own package index."""

import hashlib
import os
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from local.deployment.packages import installed_dependencies

SCRIPT = Path("local/venv.py").absolute()


def wheel(folder: Path, name: str, *, size: int = 0) -> str:
    """Create a wheel in ``folder`` and return its line for a requirements file."""
    info = f"{name}-1.dist-info"
    files = {
        f"{name}.py": f"NAME = {name!r}\n" + "# padding\n" * size,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    return f"{name}==1 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a folder with requirements that pip can find. Other pip variables would break an installation."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    (folder / "requirements.txt").write_text(wheel(tmp_path, "first") + wheel(tmp_path, "second", size=1000))
    variables = {"PIP_FIND_LINKS": tmp_path, "PIP_NO_INDEX": 1, "PIP_USER": 1, "PIP_TARGET": tmp_path / "target"}
    variables |= {"PIP_CONSTRAINT": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere"}
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return folder


def make(checkout: Path, *options: str) -> "subprocess.Popen[str]":
    """Begin to create an environment, with the pip of the tests' own."""
    options = options or ("--pip-of", sys.prefix)
    command = [sys.executable, "-I", str(SCRIPT), "venv", "requirements.txt", *options]
    return subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def is_whole(checkout: Path) -> bool:
    python = checkout / "venv" / "bin" / "python"
    check = [python, "-I", "-c", "import first, second; print(first.NAME, second.NAME)"]
    done = subprocess.run(check, capture_output=True, text=True)
    return (checkout / "venv" / "ready").exists() and done.stdout == "first second\n"


def test_one_that_was_killed_is_made_anew(checkout: Path) -> None:
    moments = random.Random(3)
    for _ in range(2):
        with make(checkout) as process:
            time.sleep(delay := moments.uniform(0.1, 2))
            process.kill()
        print(f"killed after {delay:.2f} s")
        assert not (checkout / "venv" / "ready").exists() or is_whole(checkout)
    with make(checkout) as process:
        said, _ = process.communicate()
    assert (process.returncode, is_whole(checkout)) == (0, True), said


def test_what_is_half_made_is_not_built_upon(checkout: Path) -> None:
    (checkout / "venv" / "lib").mkdir(parents=True)
    (checkout / "venv" / "bin").symlink_to("/nowhere")
    with make(checkout) as process:
        said, _ = process.communicate()
    assert (process.returncode, is_whole(checkout)) == (0, True), said
    # A complete environment is kept, and during a change it is not marked as ready.
    (checkout / "venv" / "local-aws").mkdir()
    (checkout / "requirements.txt").write_text("nosuch==1 --hash=sha256:" + "0" * 64 + "\n")
    with make(checkout) as process:
        said, _ = process.communicate()
    assert process.returncode == 1
    assert "Could not set up venv" in said
    assert (checkout / "venv" / "local-aws").exists()
    assert not (checkout / "venv" / "ready").exists()


def test_that_of_a_checkout_gets_the_pip_that_makes_the_others(checkout: Path, tmp_path: Path) -> None:
    (checkout / "pyproject.toml").write_text(
        '[project]\nname = "third"\nversion = "1"\n[build-system]\nrequires = []\n'
        'build-backend = "third"\nbackend-path = ["."]\n'
    )
    (checkout / "local" / "requirements").mkdir(parents=True)
    (checkout / "local" / "requirements" / "pip.txt").write_text(wheel(tmp_path, "fourth"))
    with make(checkout, "--with-checkout") as process:
        said, _ = process.communicate()
    assert (process.returncode, "third" in said) == (1, True), said  # a checkout that cannot be installed
    python = checkout / "venv" / "bin" / "python"
    done = subprocess.run([python, "-I", "-c", "import pip, first, fourth"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (checkout / "venv" / "ready").exists()


def test_two_at_once_make_it_once(checkout: Path) -> None:
    with make(checkout) as first:
        while not (checkout / "venv").exists():
            assert first.poll() is None
        with make(checkout) as second:
            assert second.stdout.readline() == "Another make is setting up venv. Waiting for it …\n"
            assert first.wait() == 0
            made = (checkout / "venv" / "ready").stat().st_mtime_ns
            second.communicate()
    assert second.returncode == 0
    assert (checkout / "venv" / "ready").stat().st_mtime_ns == made
    assert is_whole(checkout)


def test_the_functions_packages_take_their_name_when_they_are_whole(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "local-aws").symlink_to(Path(".venv/local-aws").absolute())
    build, requirements = tmp_path / "build", checkout / "requirements.txt"
    said: list[str] = []
    wish = {"checkout": checkout, "build": build, "folder": tmp_path, "say": said.append}
    # Left by a start that was killed.
    (build / "unfinished-x" / "packages").mkdir(parents=True)
    for _ in range(2):
        found = installed_dependencies(requirements, **wish)
        assert {path.name for path in build.iterdir()} == {found.name}
        assert {path.name for path in found.glob("*.py")} == {"first.py", "second.py"}
    assert len(said) == 1
    requirements.write_text("nosuch==1 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(RuntimeError, match=r"Could not install the functions' packages: .*nosuch"):
        installed_dependencies(requirements, **wish)
    assert {path.name for path in build.iterdir()} == {found.name}
    assert not (tmp_path / "target").exists()
    assert os.environ["PIP_USER"] == "1"
