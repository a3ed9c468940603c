"""Which stack files the command line trusts, and which tokens it sends to their URLs."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.main import main
from nightshift_cli.remote.config import find_config
from nightshift_cli.remote.stackfile import find_stack
from nightshift_cli.session import Session
from tests.support.cli_world import PROJECT, TEAM

URL = "http://127.0.0.1:4000"
Spoil = Callable[[Path], object]


def stack(folder: Path, **changes: str) -> Path:
    """``folder``, with a stack file in it."""
    (folder / ".local").mkdir(parents=True)
    values = {"api_url": URL, "agent_key": "key", "team_id": TEAM, "project_id": PROJECT}
    (folder / ".local" / "stack.json").write_text(json.dumps(values | changes))
    return folder


def nowhere(folder: Path) -> dict[str, str]:
    """Return an environment without a sign-in."""
    return {"XDG_CONFIG_HOME": str(folder / "config")}


def test_the_address_in_a_stack_file_gets_no_token_from_elsewhere(tmp_path: Path) -> None:
    folder, variables = stack(tmp_path), nowhere(tmp_path) | {"NIGHTSHIFT_TOKEN": "mine"}
    for found_in, flags, environ in (
        ("--token", {"token": "mine"}, nowhere(tmp_path)),
        ("NIGHTSHIFT_TOKEN", {}, variables),
    ):
        with pytest.raises(Misconfigured, match=f"^{found_in} is not sent to the local stack .*stack.json") as caught:
            find_config(folder=folder, flags=flags, environ=environ)
        assert "mine" not in str(caught.value)
    # Without a token nothing is at risk, and callers who name the API chose it.
    assert find_config(flags={}, environ=variables, folder=folder, needs_token=False).token == ""
    named = find_config(flags={"api_url": URL}, environ=variables, folder=folder)
    assert (named.token, named.team, named.project_id) == ("mine", None, None)


def test_a_sign_in_at_the_address_of_a_stack_file_is_not_sent_there(tmp_path: Path) -> None:
    folder, environ = stack(tmp_path, agent_key=""), nowhere(tmp_path)
    (tmp_path / "config" / "nightshift").mkdir(parents=True)
    kept = tmp_path / "config" / "nightshift" / "default.json"
    kept.write_text(json.dumps({"api_url": URL, "token": "mine", "team": TEAM}))
    kept.chmod(0o600)
    with pytest.raises(Misconfigured, match="No token for"):
        find_config(flags={}, environ=environ, folder=folder)


@pytest.mark.parametrize("name", ["api_url", "aws_endpoint_url"])
@pytest.mark.parametrize("host", ["elsewhere.test", "127.0.0.1.elsewhere.test", "10.0.0.1"])
def test_every_address_in_a_stack_file_is_on_this_machine(tmp_path: Path, name: str, host: str) -> None:
    folder = stack(tmp_path, **{name: f"http://{host}:4566"})
    with pytest.raises(Misconfigured, match="not on this machine"):
        find_config(flags={}, environ=nowhere(tmp_path), folder=folder)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def link_to_itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


@pytest.mark.parametrize("is_linked", [False, True])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.chmod(0o660), "others can write it (mode 660)"),
        (lambda file: file.chmod(0o602), "others can write it (mode 602)"),
        (lambda file: file.parent.chmod(0o770), "others can write its folder (mode 770)"),
        (lambda file: file.parent.chmod(0o707), "others can write its folder (mode 707)"),
        (pipe, "it is not a regular file"),
        (folder, "it cannot be read"),
        (link_to_itself, "it cannot be read"),
    ],
)
def test_a_file_that_others_could_have_written_is_passed_over(
    tmp_path: Path, spoil: Spoil, words: str, is_linked: bool
) -> None:
    above = stack(tmp_path / "above")
    below = stack(above / "below", api_url="http://127.0.0.1:6666", agent_key="another")
    file = real = below / ".local" / "stack.json"
    if is_linked:
        (real := tmp_path / "elsewhere" / "stack.json").parent.mkdir()
        file.rename(real)
        file.symlink_to(real)
    spoil(real)
    notes: list[str] = []
    config = find_config(flags={}, environ=nowhere(tmp_path), folder=below, note=notes.append)
    # The file is ignored: the next one above is used.
    assert (config.api_url, config.token) == (URL, "key")
    [note] = notes
    assert note.startswith(f"Ignored {file}: {words}")


def test_a_link_in_a_folder_that_others_may_write_is_passed_over(tmp_path: Path) -> None:
    real = stack(tmp_path / "real") / ".local" / "stack.json"
    (here := tmp_path / "here" / ".local").mkdir(parents=True)
    (here / "stack.json").symlink_to(real)
    assert find_stack(here.parent, note=pytest.fail)["api_url"] == URL
    here.chmod(0o777)
    notes: list[str] = []
    assert find_stack(here.parent, note=notes.append) == {}
    assert "others can write its folder (mode 777)" in notes[0]


def test_a_file_of_another_user_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller becomes another user, because only root can change a file's owner."""
    here = stack(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    notes: list[str] = []
    assert find_stack(here, note=notes.append) == {}
    assert "it belongs to another user" in notes[0]


def test_the_command_says_which_file_it_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stack(tmp_path) / ".local").chmod(0o777)
    monkeypatch.chdir(tmp_path)
    for name in ("NIGHTSHIFT_API_URL", "NIGHTSHIFT_TOKEN", "NIGHTSHIFT_PROFILE", "NIGHTSHIFT_STACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for arguments in (("jobs", "list", "--format", "json"), ("system", "runs", "--format", "json")):
        result = CliRunner().invoke(main, arguments, obj=Session())
        assert result.exit_code == 2
        assert result.stderr.startswith(f"Ignored {tmp_path}/.local/stack.json: others can write its folder")
        assert "Ignored" not in result.stdout
