"""Signing in and out: the stored values, their place, their permissions, and other sources of a token."""

import json
import os
import pty
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nightshift_cli.base.failures import Misconfigured
from nightshift_cli.main import main
from nightshift_cli.remote import profiles
from nightshift_cli.remote.config import find_config
from nightshift_cli.session import Session
from tests.support.cli_world import RUN, TEAM, TOKEN, WHOAMI, Script, command, environment
from tests.support.processes import started

TEAMS = [{"id": TEAM, "slug": "day", "name": "D", "role": "admin"}, {"id": RUN, "slug": "night", "name": "N"}]
ADA = {"type": "user", "email": "ada@example.com", "teams": TEAMS}
API = "https://jobs.example.com"


@pytest.fixture
def kept(bare_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that login writes into. The current folder has no local stack."""
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    return tmp_path / "config" / "nightshift"


def signed_in(*arguments: str, token: str | None = TOKEN, **env: str) -> Result:
    """``nightshift`` with the token on standard input. No output shows it."""
    result = CliRunner().invoke(main, arguments, obj=Session(), input=f"{token}\n" if token else "", env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert TOKEN not in result.output
    return result


def login(api: Script, *arguments: str, **env: str) -> Result:
    return signed_in("login", "--api-url", api.url + "/", "--token-stdin", *arguments, **env)


def config_of(**given: Any) -> Any:
    return find_config(**{"flags": {}, "environ": dict(os.environ), "folder": Path.cwd()} | given)


def test_a_sign_in_that_has_ended_says_how_to_begin_again(api: Script, kept: Path) -> None:
    login(api, "--profile", "prod")
    api.runs((401, {"error": "API key expired"}))
    told = signed_in("--profile", "prod", "jobs", "view", RUN, token=None).stderr
    assert told.endswith("Sign in again: nightshift login --profile prod\n")


def test_what_login_keeps_is_used_until_logout(api: Script, kept: Path) -> None:
    result = login(api)
    assert result.exit_code == 0, result.stderr
    file = kept / "default.json"
    assert result.stdout.splitlines() == [
        f"Signed in to {api.url} as an agent key, team team.",
        f"Stored in {file}, which only you can read.",
    ]
    assert json.loads(file.read_text()) == {"api_url": api.url, "token": TOKEN, "team": TEAM}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert list(kept.iterdir()) == [file]

    who = signed_in("whoami").stdout
    assert f"{api.url}, from {file}" in who
    assert api.asked("GET /v1/auth/whoami")[-1][2]["Authorization"] == f"Bearer {TOKEN}"
    assert json.loads(signed_in("whoami", "--format", "json").stdout) == WHOAMI

    assert signed_in("logout").stdout == f"Signed out: deleted {file}.\n"
    assert not file.exists()
    assert signed_in("logout").stdout == "Profile default has no sign-in.\n"
    lost = signed_in("whoami")
    assert lost.exit_code == 2
    assert "Sign in with `nightshift login`" in lost.stderr


def test_login_and_logout_in_json(api: Script, kept: Path) -> None:
    file = str(kept / "default.json")
    told = {"profile": "default", "file": file, "api_url": api.url, "team_id": TEAM}
    assert json.loads(login(api, "--format", "json").stdout) == told
    assert json.loads(signed_in("logout", "--format", "json").stdout) == {"profile": "default", "file": file}
    assert json.loads(signed_in("logout", "--format", "json").stdout) == {"profile": "default", "file": None}


def test_nothing_is_kept_that_the_api_does_not_take(api: Script, kept: Path) -> None:
    api.on("GET /v1/auth/whoami", {"error": "Invalid API key"}, status=401)
    result = login(api)
    assert (result.exit_code, result.stderr) == (4, "Error: Invalid API key\n")
    api.on("GET /v1/auth/whoami", "<html>portal</html>")
    assert login(api).exit_code == 5
    api.on("GET /v1/auth/whoami", ADA | {"teams": []})
    assert "This token has access to no team." in login(api).stderr
    assert not kept.exists()


def test_one_of_several_teams_is_chosen(api: Script, kept: Path) -> None:
    api.on("GET /v1/auth/whoami", ADA)
    result = login(api)
    assert result.exit_code == 2
    assert "--team: day, night" in result.stderr
    assert "as ada@example.com, team night." in login(api, "--team", "night").stdout
    assert json.loads((kept / "default.json").read_text())["team"] == RUN
    assert "team day." in login(api, NIGHTSHIFT_TEAM=TEAM).stdout
    assert "Unknown team 'dusk'" in login(api, "--team", "dusk").stderr


@pytest.mark.parametrize(
    ("arguments", "token", "words"),
    [
        (("--token-stdin",), TOKEN, "Pass --api-url."),
        (("--api-url", "ftp://x", "--token-stdin"), TOKEN, "must look like"),
        (("--api-url", "http://127.0.0.1:1", "--token-stdin"), None, "Standard input holds no token."),
        (("--api-url", "http://127.0.0.1:1"), None, "--token-stdin"),
        (("--api-url", "http://127.0.0.1:1", "--token-stdin"), "two words", "Copy it again"),
    ],
)
def test_what_is_missing_is_told_where_nobody_can_be_asked(
    kept: Path, arguments: tuple[str, ...], token: str | None, words: str
) -> None:
    result = signed_in("login", *arguments, token=token)
    assert result.exit_code == 2
    assert words in result.stderr.replace("\n", " ")
    assert not kept.exists()


def test_a_code_is_asked_for_and_entered_again_if_it_is_wrong(api: Script, kept: Path) -> None:
    token, wrong = "owl_session_x", "This code is wrong, or no longer valid."
    api.on("POST /v1/auth/codes", {"sign_in": "id.key", "digits": 8, "expires_in_s": 600}, status=202)
    api.on("POST /v1/auth/sessions", (400, {"error": wrong}), (200, {"token": token, "session": {}}))
    api.on("GET /v1/auth/whoami", ADA | {"teams": TEAMS[:1]})
    questions = ((b"Code: ", "0000 0000"), (b"Code: ", "1234 5678"))
    seen = typed(api, questions, b"only you can read", "login", "--api-url", api.url, "--email", "ada@example.com")
    assert b"If ada@example.com is known there, a mail with a code is on its way." in seen
    assert wrong.encode() in seen
    assert token.encode() not in seen
    entered = [body for *_, body in api.asked("POST /v1/auth/sessions")]
    assert entered == [{"sign_in": "id.key", "code": code} for code in ("0000 0000", "1234 5678")]
    [(*_, headers, asked)] = api.asked("POST /v1/auth/codes")
    assert asked == {"email": "ada@example.com"}
    assert headers["User-Agent"].startswith("nightshift/")
    assert not {"Authorization", "Origin"} & headers.keys()
    assert json.loads((kept / "default.json").read_text())["token"] == token

    api.on("DELETE /v1/auth/sessions/current", {"ended": 1})
    assert signed_in("logout", token=None).stdout.startswith("Signed out: deleted ")
    [(*_, headers, _)] = api.asked("DELETE /v1/auth/sessions/current")
    assert headers["Authorization"] == f"Bearer {token}"


@pytest.mark.parametrize(("status", "said"), [(401, ""), (503, "The session was not ended on the server: ")])
def test_a_sign_in_is_deleted_also_if_its_session_does_not_end(api: Script, kept: Path, status: int, said: str) -> None:
    profiles.write("default", {"api_url": api.url, "token": "owl_session_x", "team": TEAM}, os.environ)
    api.on("DELETE /v1/auth/sessions/current", {"error": "no"}, status=status)
    result = signed_in("logout", token=None)
    assert result.exit_code == 0
    assert said in result.stderr.replace("\n", " ")
    assert not (kept / "default.json").exists()


def test_a_code_needs_a_terminal_and_no_token(api: Script, kept: Path) -> None:
    result = signed_in("login", "--api-url", api.url, "--email", "ada@example.com", token=None)
    assert "Cannot prompt for the code" in result.stderr
    assert "Give either --email or a token." in login(api, "--email", "ada@example.com").stderr
    assert not api.asked("POST /v1/auth/codes")


def typed(api: Script, questions: tuple[tuple[bytes, str], ...], last: bytes, *arguments: str) -> bytes:
    """Run a command on a terminal, answer its questions, and return what it printed up to ``last``."""
    ours, theirs = pty.openpty()
    variables = {name: value for name, value in environment(api).items() if not name.startswith("NIGHTSHIFT_")}
    with started(
        command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=variables, start_new_session=True
    ) as process:
        os.close(theirs)
        seen = b""
        for question, answer in questions:
            while not seen.endswith(question):
                seen += os.read(ours, 1024)
            os.write(ours, answer.encode() + b"\n")
        while last not in seen:
            seen += os.read(ours, 1024)
        assert process.wait() == 0
    os.close(ours)
    return seen


def test_a_person_is_asked_and_the_token_is_not_shown(api: Script, kept: Path) -> None:
    api.on("GET /v1/auth/whoami", ADA)
    questions = ((b"API URL: ", api.url), (b"shown): ", TOKEN), (b"(day, night): ", "night"))
    seen = typed(api, questions, b"only you can read", "login")
    assert TOKEN.encode() not in seen
    assert json.loads((kept / "default.json").read_text()) == {"api_url": api.url, "token": TOKEN, "team": RUN}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_refused_and_login_closes_it(api: Script, kept: Path, mode: int) -> None:
    login(api)
    (file := kept / "default.json").chmod(mode)
    refused = signed_in("whoami")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"mode {mode:o}" in refused.stderr
    assert f"chmod 600 {file}" in refused.stderr.replace("\n", " ")
    login(api)
    assert signed_in("whoami").exit_code == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"api_url": "http://x", "token": 1, "team": "x"}', "\xff"])
def test_a_file_that_is_not_ours_is_told(api: Script, kept: Path, content: str) -> None:
    login(api)
    (kept / "default.json").write_bytes(content.encode("latin-1"))
    assert "is malformed" in signed_in("whoami").stderr


def test_a_place_that_cannot_be_written_is_told(api: Script, kept: Path) -> None:
    kept.parent.write_text("a file where a folder should be")
    assert login(api).exit_code == 2
    assert f"{kept / 'default.json'} cannot be written" in login(api).stderr.replace("\n", " ")


def test_profiles_are_kept_apart(api: Script, kept: Path) -> None:
    login(api)
    assert login(api, "--profile", "staging").exit_code == 0
    assert {file.name for file in kept.iterdir()} == {"default.json", "staging.json"}
    assert "staging.json" in signed_in("whoami", NIGHTSHIFT_PROFILE="staging").stdout
    signed_in("logout", "--profile", "staging")
    told = signed_in("whoami", "--profile", "staging").stderr
    assert told.endswith(" Profiles with a sign-in: default. To sign in: nightshift login --profile staging\n")
    assert "default.json" in signed_in("whoami").stdout
    assert "letters, digits" in login(api, "--profile", "../etc").stderr


def test_login_says_what_will_come_before_it(api: Script, kept: Path) -> None:
    assert (
        "NIGHTSHIFT_TOKEN is set and takes precedence over this sign-in." in login(api, NIGHTSHIFT_TOKEN="other").stdout
    )
    local_stack()
    assert "pass --profile default" in login(api).stdout
    assert login(api, "--profile", "default").stdout.count("\n") == 2


def local_stack() -> None:
    Path(".local").mkdir()
    stack = {"api_url": "http://127.0.0.1:4000", "agent_key": "key", "team_id": TEAM, "project_id": RUN}
    Path(".local/stack.json").write_text(json.dumps(stack))


def keep(kept: Path, profile: str = "default", **changes: str) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"{profile}.json").write_text(json.dumps({"api_url": API, "token": profile, "team": TEAM} | changes))
    (kept / f"{profile}.json").chmod(0o600)


def test_options_before_variables_before_the_local_stack_before_the_sign_in(kept: Path) -> None:
    keep(kept)
    assert (config_of().token, config_of().team) == ("default", TEAM)
    local_stack()
    assert config_of().token == "key"
    variables = {"NIGHTSHIFT_API_URL": "https://other.example.com", "NIGHTSHIFT_TOKEN": "variable"}
    environ = dict(os.environ) | variables
    found = config_of(environ=environ)
    assert (found.api_url, found.token, found.team) == (variables["NIGHTSHIFT_API_URL"], "variable", None)
    assert (found.api_from, found.token_from) == tuple(variables)
    assert config_of(environ=environ, flags={"token": "option"}).token == "option"


def test_a_profile_that_is_named_comes_before_the_stack_and_as_an_option_before_variables(kept: Path) -> None:
    keep(kept)
    keep(kept, "staging")
    local_stack()
    environ = dict(os.environ) | {"NIGHTSHIFT_PROFILE": "staging"}
    assert config_of(environ=environ).token == "staging"
    assert config_of(flags={"profile": "default"}, environ=environ | {"NIGHTSHIFT_TOKEN": "v"}).token == "default"
    assert config_of(environ=environ | {"NIGHTSHIFT_TOKEN": "v"}).token == "v"
    with pytest.raises(Misconfigured, match="Profile nosuch has no sign-in"):
        config_of(flags={"profile": "nosuch"})


def test_a_token_that_is_kept_goes_to_its_own_api_only(kept: Path) -> None:
    keep(kept)
    with pytest.raises(Misconfigured, match=r"No token for https://other.example.com\."):
        config_of(flags={"api_url": "https://other.example.com"})
    found = config_of(flags={"api_url": API + "/"})
    assert (found.token, found.api_from) == ("default", "--api-url")
    found = config_of(flags={"token": "mine"})
    assert (found.api_url, found.token, found.team) == (API, "mine", None)
    # The folder of the local stack would provide the API's URL as well.
    local_stack()
    assert config_of(flags={"api_url": API}).token == "default"


def test_without_a_home_it_says_what_to_set(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(Misconfigured, match="Set XDG_CONFIG_HOME"):
        config_of(environ={"XDG_CONFIG_HOME": "relative"})


def test_an_api_below_a_base_path_is_asked_there(api, nightshift):
    api.on("GET /jobs/v1/auth/whoami", answer := {"type": "user", "email": "ada@acme.example", "teams": []})
    told = nightshift("whoami", "--format", "json", env={"NIGHTSHIFT_API_URL": f"{api.url}/jobs/"})
    assert (told.exit_code, json.loads(told.stdout)["email"]) == (0, answer["email"])
    link = nightshift("open", "--print", env={"NIGHTSHIFT_API_URL": f"{api.url}/jobs"})
    assert link.stdout.strip() == f"{api.url}/jobs/"
