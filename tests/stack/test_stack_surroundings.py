"""A stack among settings for other programs ignores them and sends nothing to their addresses."""

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from local.processes import left_behind
from local.stack import CHECKOUT
from tests.support.stack_world import free_ports, function_processes

pytestmark = pytest.mark.stack

# The variables that the stack may inherit from the developer.
NAMES = {"PATH", "LD_LIBRARY_PATH"}


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[bytes]]]:
    """Serve a URL that all of the settings use, and collect the requests that it receives."""
    heard: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard.append(self.request.recv(200))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        yield f"127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()


@pytest.fixture
def hostile(tmp_path: Path, elsewhere: tuple[str, list[bytes]]) -> dict[str, str]:
    """Return a developer's environment with an AWS account, a proxy and a database that the stack must not use."""
    address, _ = elsewhere
    home = tmp_path / "home of a developer's"
    (home / ".aws" / "models").mkdir(parents=True)
    tell = f"{sys.executable} -c 'import pathlib; pathlib.Path(r\"{tmp_path}/asked\").touch()'"
    lines = f"region = mars-1\ncredential_process = {tell}\nca_bundle = /nowhere.pem\nendpoint_url = http://{address}\n"
    config = f"[default]\n{lines}retry_mode = odd\nmax_attempts = many\n[profile me]\n{lines}"
    (home / ".aws" / "config").write_text(config)
    keys = "aws_access_key_id = AKIAMINE\naws_secret_access_key = mine\n"
    (home / ".aws" / "credentials").write_text(f"[default]\n{keys}[me]\n{keys}")
    (home / ".netrc").write_text("default login me password mine\n")
    (home / ".pgpass").write_text("*:*:*:*:mine\n")
    (home / ".pg_service.conf").write_text(f"[mine]\nhost=127.0.0.1\nport={address.rpartition(':')[2]}\n")
    (home / ".gitconfig").write_text("[core]\n\tautocrlf = nonsense\n")
    for name in (".netrc", ".pgpass"):
        (home / name).chmod(0o600)
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    services = ("S3", "SQS", "STS", "LAMBDA", "CLOUDFORMATION", "KMS", "SESV2", "SECRETS_MANAGER")
    return (
        {name: value for name, value in os.environ.items() if name in NAMES}
        | {name: f"http://{address}" for name in proxies}
        | {f"AWS_ENDPOINT_URL_{service}": f"http://{address}" for service in services}
        | {
            "HOME": str(home),
            "NO_PROXY": "example.com",
            "AWS_PROFILE": "no-such-profile",
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_ACCESS_KEY_ID": "AKIAMINE",
            "AWS_SECRET_ACCESS_KEY": "mine",
            "AWS_SESSION_TOKEN": "mine",
            "AWS_CA_BUNDLE": "/nowhere.pem",
            "AWS_REGION": "mars-1",
            "AWS_DEFAULT_REGION": "mars 1",
            "AWS_DEFAULTS_MODE": "odd",
            "AWS_RETRY_MODE": "odd",
            "AWS_MAX_ATTEMPTS": "many",
            "AWS_USE_FIPS_ENDPOINT": "true",
            "AWS_USE_DUALSTACK_ENDPOINT": "true",
            "AWS_DATA_PATH": str(home),
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(home / "none"),
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/mine",
            "PGHOST": "127.0.0.1",
            "PGPORT": address.rpartition(":")[2],
            "PGUSER": "me",
            "PGPASSWORD": "mine",
            "PGSERVICE": "mine",
            "PGOPTIONS": "-c search_path=nowhere -c datestyle=German",
            "PGDATESTYLE": "German",
            "PGTZ": "Asia/Kathmandu",
            "PGCLIENTENCODING": "LATIN1",
            "PGDATA": str(home),
            "PGSSLMODE": "verify-full",
            "PGCONNECT_TIMEOUT": "odd",
            "TZ": "Asia/Kathmandu",
            "LANG": "xx_YY.nonsense",
            "LC_ALL": "xx_YY.nonsense",
            "PIP_TARGET": str(home),
            "PIP_USER": "1",
            "PIP_CONSTRAINT": str(home / "none"),
            "VIRTUAL_ENV": str(home),
            "DOCKER_HOST": f"tcp://{address}",
            "SSL_CERT_FILE": "/nowhere.pem",
            "REQUESTS_CA_BUNDLE": "/nowhere.pem",
            "DATABASE_HOST": "127.0.0.9",
            "DATABASE_AUTH": "iam",
            "LAMBDA_EXECUTOR": "docker",
            "MINISTACK_ACCOUNT_ID": "123456789012",
            "GATEWAY_PORT": "1",
            "GIT_DIR": str(home),
            "EDITOR": "no-such-editor",
        }
    )


def test_it_starts_and_is_asked_among_settings_that_are_not_for_it(
    folders: Callable[[], Path],
    started: Callable[..., subprocess.Popen[str]],
    hostile: dict[str, str],
    elsewhere: tuple[str, list[bytes]],
    tmp_path: Path,
) -> None:
    # A name that is difficult for shells, URLs and sockets.
    folder = folders().parent / ('a folder\'s "$HOME" 日本語 ' + "x" * 120) / ".local"
    variables = {f"NIGHTSHIFT_{name.upper()}_PORT": str(port) for name, port in asdict(free_ports()).items()}
    run = started("-u", "-m", "local.run", "--folder", str(folder), bare=True, **(hostile | variables))
    story = []
    for line in iter(run.stdout.readline, ""):
        story.append(line.rstrip())
        if story[-1].endswith("system health"):
            break
    assert any("completed" in line for line in story), story

    command = str(Path(sys.executable).with_name("nightshift"))
    for arguments in (("jobs", "list"), ("whoami",), ("system", "runs"), ("system", "health")):
        asked = subprocess.run(
            [command, *arguments, "--format", "json"], cwd=folder.parent, env=hostile, capture_output=True, text=True
        )
        assert (asked.returncode, asked.stderr) == (0, ""), (arguments, asked.stdout)
        assert json.loads(asked.stdout)
    # The functions started with their own settings, and their environments contain none of these.
    shared = {"1", "true", "127.0.0.1", hostile["HOME"]}
    foreign = {value for name, value in hostile.items() if name not in NAMES} - shared
    found = function_processes(folder)
    assert found
    for _, environment in found:
        assert not foreign & set(environment.values())
    run.terminate()
    run.communicate()
    assert run.returncode == 0
    assert left_behind(folder) == []
    _, heard = elsewhere
    assert heard == []
    assert not (tmp_path / "asked").exists()


def test_make_hides_the_developers_account_from_what_it_runs(tmp_path: Path, hostile: dict[str, Any]) -> None:
    """`make run` itself, with a Python that prints its environment."""
    for folder in ("bin", "local-aws"):
        (tmp_path / "venv" / folder).mkdir(parents=True)
    for ready in ("ready", "local-aws/ready"):
        (tmp_path / "venv" / ready).touch()
    told = tmp_path / "venv" / "bin" / "python"
    told.write_text("#!/bin/sh\nenv\n")
    told.chmod(0o755)
    hostile |= {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONSTARTUP": "/nowhere", "PYTHONSAFEPATH": "1"}
    make = ["make", "--silent", "run", f"VENV={tmp_path}/venv"]
    done = subprocess.run(make, cwd=CHECKOUT, env=hostile, capture_output=True, text=True, check=True)
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert "HOME" in names
    assert {name for name in names if name.startswith(("AWS_", "PG", "PYTHON"))} == {"PYTHONUTF8"}
