"""``make test`` says first what it could not get, and its exit code says so, too."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local import chromium, everything
from local.everything import CHROMIUM, INTERRUPTED, LEFT_OUT, PARTS, PYTHON_OF_LAMBDA, Need, Part, run

MISSING = Need("A program", lambda: False, lambda: [[sys.executable, "-c", "import sys; sys.exit('no network')"]])
PYTHON = [sys.executable, "-c"]


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with Python and make alone, in an empty folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "make").symlink_to("/usr/bin/make")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.delenv("NIGHTSHIFT_CHROMIUM", raising=False)
    monkeypatch.setattr("local.deployment.build.UV", tmp_path / "uv")
    monkeypatch.setattr(chromium, "FOLDER", tmp_path / "browser")
    return tmp_path


def noted(path, code=0):
    return [*PYTHON, f"import sys; open({str(path)!r}, 'a').write('ran '); sys.exit({code})"]


def test_a_part_that_cannot_run_is_left_out_and_told_first(tmp_path, capfd):
    note = tmp_path / "note"
    parts = [Part("the build", noted(note), MISSING), Part("the tests", [*PYTHON, "print('tests run')"])]
    assert run(parts) == LEFT_OUT
    out, err = capfd.readouterr()
    said, ran = out.index("A program is not here and cannot be fetched, so the build is left out: "), out.index("tests")
    assert said < ran
    assert "said 'no network'" in out
    assert err.endswith(f"Passed, without the build (exit code {LEFT_OUT})\n")
    assert not note.exists()


def test_a_part_that_fails_ends_it_with_its_own_code(tmp_path, capfd):
    note = tmp_path / "note"
    parts = [Part("the tests", noted(note, code=7)), Part("the stack", noted(note))]
    assert run([Part("the build", noted(note), MISSING), *parts]) == 7
    assert note.read_text() == "ran "
    assert "Failed: the tests (" in capfd.readouterr().err


def until(path):
    """Return the code of a process that waits until the path is there."""
    return f"import os, time\nwhile not os.path.exists({str(path)!r}): time.sleep(0.01)\n"


def test_parts_run_beside_the_last_other_one_and_show_their_output_after_its_own(tmp_path, capfd):
    here, there = tmp_path / "here", tmp_path / "there"
    parts = [
        Part("the packages", [*PYTHON, f"import os; print('packages', os.path.exists({str(here)!r}))"]),
        Part("the stack", [*PYTHON, f"open({str(here)!r}, 'w')\n{until(there)}print('stack')"], row=1),
        Part("the browser", [*PYTHON, "print('browser')"], row=1),
        Part("the tests", [*PYTHON, f"open({str(there)!r}, 'w')\n{until(here)}print('tests')"]),
    ]
    assert run(parts) == 0
    assert capfd.readouterr() == ("packages False\ntests\nstack\nbrowser\n", "")


CLEARS_UP = """
import sys, time
try:
    open(sys.argv[1], "w")
    time.sleep(600)
except KeyboardInterrupt:
    print("cleared up")
"""


def test_the_output_of_a_part_that_failed_comes_last(tmp_path, capfd):
    begun = [tmp_path / "tests", tmp_path / "browser"]
    parts = [
        Part("the tests", [*PYTHON, CLEARS_UP, str(begun[0])]),
        Part("the stack", [*PYTHON, f"{until(begun[0])}{until(begun[1])}print('failed'); raise SystemExit(7)"], row=1),
        Part("the browser", [*PYTHON, CLEARS_UP, str(begun[1])], row=2),
    ]
    assert run(parts) == 7
    assert capfd.readouterr().out == "cleared up\ncleared up\nfailed\n"


@pytest.mark.parametrize("row", [1, 0])
def test_a_part_that_fails_interrupts_the_one_beside_it(row, tmp_path, capfd):
    begun = tmp_path / "begun"
    parts = [
        Part("the one", [*PYTHON, f"{until(begun)}raise SystemExit(7)"], row=row),
        Part("the other", [*PYTHON, CLEARS_UP, str(begun)], row=1 - row),
        Part("the next", noted(tmp_path / "note"), row=1),
    ]
    assert run(parts) == 7
    out, err = capfd.readouterr()
    assert out == "cleared up\n"
    assert err.startswith("Failed: the one (")
    assert not (tmp_path / "note").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_all_parts(number, tmp_path):
    begun = [tmp_path / "one", tmp_path / "other"]
    commands = [[*PYTHON, CLEARS_UP, str(path)] for path in begun]
    parts = f"Part('one', {commands[0]}, row=1), Part('other', {commands[1]})"
    code = f"from local import everything; from local.everything import Part\neverything.PARTS = [{parts}]\n"
    with subprocess.Popen(
        [*PYTHON, f"{code}raise SystemExit(everything.main())"], stdout=subprocess.PIPE, text=True
    ) as process:
        for path in begun:
            subprocess.run([*PYTHON, until(path)], check=True)
        process.send_signal(number)
        assert process.communicate()[0] == "cleared up\ncleared up\n"
    assert process.returncode == INTERRUPTED


def test_a_program_that_was_fetched_leaves_nothing_out(tmp_path, capfd):
    there = tmp_path / "program"
    need = Need("A program", there.exists, lambda: [[*PYTHON, f"open({str(there)!r}, 'w')"]])
    assert run([Part("the build", noted(tmp_path / "note"), need)]) == 0
    assert (tmp_path / "note").read_text() == "ran "
    assert capfd.readouterr() == ("Fetching A program for the build …\n", "")


@pytest.mark.parametrize("need", [PYTHON_OF_LAMBDA, CHROMIUM], ids=lambda need: need.name)
def test_a_bare_machine_lacks_both(bare, need, monkeypatch, capfd):
    """And cannot fetch them where make finds no Makefile."""
    monkeypatch.chdir(bare)
    monkeypatch.setattr(everything, "runtime", lambda: "3.13")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    note = bare / "note"
    assert run([Part("its part", noted(note), need)]) == LEFT_OUT
    assert f"{need.name} is not here and cannot be fetched, so its part is left out: make " in capfd.readouterr().out


def test_root_on_debian_gets_the_package(bare, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert CHROMIUM.commands()[-1][0] == ".venv/bin/playwright"
    (bare / "bin" / "apt-get").symlink_to("/usr/bin/true")
    assert [command[0] for command in CHROMIUM.commands()] == ["apt-get", "apt-get"]


def test_one_without_windows_is_preferred_and_one_that_is_named_comes_first(bare, monkeypatch):
    assert chromium.find() is None
    for folder in ("chromium-1200/chrome-linux64/chrome", "chromium_headless_shell-1255/chrome-linux/headless_shell"):
        built = bare / "browser" / folder
        built.parent.mkdir(parents=True)
        built.touch()
        assert chromium.find() == str(built)
    command = bare / "bin" / "chromium-headless-shell"
    command.symlink_to("/usr/bin/true")
    assert chromium.find() == str(command)
    monkeypatch.setenv("NIGHTSHIFT_CHROMIUM", "/opt/chrome")
    assert chromium.find() == "/opt/chrome"


def test_each_part_is_a_target_of_make():
    makefile = Path("Makefile").read_text()
    targets = [word for part in PARTS for word in part.command[1:] if not word.startswith("--")]
    assert targets[0] == "test-packages"
    assert targets[1:] == ["build", "test-stack", "lint", "types", "template", "test-browser", "test-code"]
    for target in targets:
        assert f"\n{target}:" in makefile


@pytest.mark.parametrize("mark", ["stack", "browser"])
def test_a_test_with_a_mark_is_in_the_folder_in_which_make_looks_for_it(mark):
    [folder] = re.findall(rf"\n\t.* -m {mark} (\S+)\n", Path("Makefile").read_text())
    marked = [
        path
        for root in ("tests", "functions")
        for path in Path(root).rglob("test_*.py")
        if re.search(rf"pytest\.mark\.{mark}\b", path.read_text())
    ]
    assert marked
    assert {path.parent for path in marked} == {Path(folder)}
