"""The example of a provider in docs/write-a-job.md works as it is written: its key is stored, tested and used."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nightshift.base import settings as settings_module
from nightshift.jobs.registry import JOB_TYPES, PROVIDERS
from nightshift.testing import make_team
from tests.support import http_server
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.world import token

PACKAGE = "nightshift_jobs.acme_export"
FILES = re.findall(
    r"`functions/nightshift_jobs/acme_export/(\w+)\.py`:\n\n^```python\n(.*?)^```$",
    Path("docs/write-a-job.md").read_text(),
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture
def acme(monkeypatch):
    """The files of the page as modules, and Acme's server. Return the requests that it has got."""
    asked = []

    def answer(request):
        key = request.headers["Authorization"].removeprefix("Bearer ")
        asked.append((request.method, request.path, key, json.loads(request.body or "null")))
        permissions = ["read", "write"] if key == "good" else ["read"]
        status = 401 if key == "wrong" else 200
        return http_server.Reply(status, json.dumps({"permissions": permissions}).encode(), {})

    for name, text in FILES:
        module = ModuleType(PACKAGE if name == "__init__" else f"{PACKAGE}.{name}")
        module.__path__ = []
        monkeypatch.setitem(sys.modules, module.__name__, module)
        if name != "__init__":
            monkeypatch.setattr(sys.modules[PACKAGE], name, module, raising=False)
        exec(compile(text, name, "exec"), module.__dict__)
    declared = sys.modules[PACKAGE]
    monkeypatch.setitem(JOB_TYPES, "acme_export", declared.JOB_TYPE)
    monkeypatch.setitem(PROVIDERS, "acme", declared.PROVIDER)
    with http_server.serve(answer) as url:
        monkeypatch.setattr(declared.acme, "URL", url)
        yield asked


def test_the_page_has_all_files():
    assert [name for name, _ in FILES] == ["__init__", "acme", "job"]


def test_its_key_is_stored_tested_and_used(acme, job_run, cloud, owner):
    team = make_team(owner)
    api = Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")
    at = f"/v1/projects/{team.project_id}/integrations"
    start = {"job_type": "acme_export", "project_id": team.project_id}
    status, refused = api("POST", f"/v1/teams/{team.id}/jobs/trigger", start)
    assert (status, refused["error"][:42]) == (400, 'This project has no integration "acme". A ')

    [form] = [each for each in api("GET", at)[1]["providers"] if each["provider"] == "acme"]
    assert [*form["config"]["properties"]] == ["workspace"]
    missing = {"provider": "acme", "config": {"api_key": "good"}}
    assert api("POST", at, missing)[1] == {"error": "config.workspace is required", "field": "config.workspace"}
    stored = {"provider": "acme", "config": {"api_key": "read-only", "workspace": "w"}}
    assert api("POST", at, stored)[1]["test"]["says"] == "Acme w; the key reads reports; the key lacks write."
    for key, says in (("wrong", "Acme refuses the key."), ("good", "Acme w; the key reads reports.")):
        assert api("PATCH", f"{at}/acme", {"config": {"api_key": key}})[1]["test"]["says"] == says

    settings_module.settings.cache_clear()
    run = job_run("acme_export", team=team).finish()
    assert run.result == {"status": 200}
    assert acme[-1] == ("POST", "/reports", "good", {"workspace": "w"})
    owner.run_script("""UPDATE project_integrations SET config = config || '{"enabled": false}'""")
    said = job_run("acme_export", team=team).finish().row["error"]
    assert said.startswith('The integration "acme" of this project is disabled.')
