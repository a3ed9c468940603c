"""The audit: each change has its entry, written in the change's own transaction, without secrets."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from nightshift.jobs.registry import JOB_TYPES
from nightshift.operator.dispatch import MAX_CALLER
from nightshift.runs import requests
from nightshift.tenants import audit
from nightshift.testing.rows import make_team
from operate.app import COMMANDS as OPERATING
from setup.app import COMMANDS as SETTING_UP
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.operator_world import answer
from tests.support.world import AUTHOR, token, trigger

ARN = "arn:aws:iam::123456789012:user/ada"
ACME = {"team": "Acme", "admin_email": "ada@acme.example", "project": "Acme iOS"}


@pytest.fixture
def act(cloud, db, owner):
    def act(command, *, caller=ARN, **arguments):
        event = {"command": command} | ({"caller": caller} if caller else {}) | arguments
        if command in SETTING_UP:
            return answer(event, commands=SETTING_UP, db=owner, settings=cloud)
        return answer(event, db=db, settings=cloud)

    return act


def entries(owner):
    rows = owner.run_script(
        "SELECT action, team_id IS NOT NULL, subject_type, details, actor, request_id FROM job_audit_entries"
        " ORDER BY occurred_at, id"
    )
    assert {(actor, request) for *_, actor, request in rows} <= {(f"operator:{ARN}", "request-1")}
    return [tuple(row[:4]) for row in rows]


class TestTheOperator:
    def test_a_team_from_its_beginning_on(self, act, owner):
        made = act("setup", **ACME, revenuecat_key="sk_one", revenuecat_project_id="proj1")
        first = made["agent_key"][:14]
        act("agent_key", team="acme", name="CI", days=90, ends=first)
        act("revenuecat_key", team="acme", project="acme-ios", revenuecat_key="sk_two")
        act("member", team="acme", email="eve@acme.example", role="admin")
        act("member", team="acme", email="eve@acme.example", role="none")
        act("member", team="acme", email="not-there@acme.example", role="none")
        key = {"permissions": ["jobs:read", "jobs:write"]}
        told = entries(owner)
        second, expires_at = told[6][3]["key_prefix"], told[6][3]["expires_at"]
        assert timedelta(days=89) < datetime.fromisoformat(expires_at) - datetime.now(UTC) < timedelta(days=91)
        assert told == [
            ("team.created", True, "team", {"name": "Acme", "slug": "acme"}),
            ("member.set", True, "user", {"role": "owner"}),
            ("project.created", True, "project", {"name": "Acme iOS", "slug": "acme-ios"}),
            ("integration.stored", True, "project", {"provider": "revenuecat", "config": {"project_id": "proj1"}}),
            (
                "agent_key.created",
                True,
                "agent_key",
                {"name": "Agent key", "key_prefix": first, "expires_at": None} | key,
            ),
            ("agent_key.ended", True, "agent_key", {"name": "Agent key", "key_prefix": first}),
            (
                *("agent_key.created", True, "agent_key"),
                {"name": "CI", "key_prefix": second, "expires_at": expires_at} | key,
            ),
            ("integration.stored", True, "project", {"provider": "revenuecat", "config": {}}),
            ("member.set", True, "user", {"role": "admin"}),
            ("member.removed", True, "user", {}),
        ]
        written = str(owner.run_script("SELECT CAST(entry AS text) FROM job_audit_entries entry"))
        assert not [secret for secret in ("sk_one", "sk_two", made["agent_key"]) if secret in written]

    def test_runs_pauses_and_mails(self, act, owner):
        run_id = act("trigger", job_type="db_pruning")["job_run"]["id"]
        assert act("trigger", job_type="db_pruning")["existing_run_id"] == run_id
        act("cancel", run_id=run_id)
        assert "Cannot cancel" in act("cancel", run_id=run_id)["error"]
        act("pause", job_type="db_pruning", why="disk work", by="ada")
        assert "already paused" in act("pause", job_type="db_pruning", why="x", by="eve")["error"]
        act("resume", job_type="db_pruning")
        assert "not paused" in act("resume", job_type="db_pruning")["error"]
        owner.run_script("INSERT INTO job_mail_stops VALUES ('a@b.example', 'bounce')")
        act("lift_mail_stop", address="A@b.example")
        assert "not stopped" in act("lift_mail_stop", address="a@b.example")["error"]
        act("send_test_mail", to="a@b.example")
        assert entries(owner) == [
            ("run.triggered", False, "run", {"job_type": "db_pruning"}),
            ("run.cancelled", False, "run", {"job_type": "db_pruning"}),
            ("job_type.paused", False, "job_type", {"what": "type", "by": "ada", "why": "disk work"}),
            ("job_type.resumed", False, "job_type", {"what": ["type"]}),
            ("mail_stop.lifted", False, "address", {}),
            ("mail.tested", False, "mail", {"to": "a@b.example"}),
        ]

    def test_the_cancel_of_a_teams_run_is_the_teams_to_see(self, act, cloud, db, owner):
        run_id = trigger(make_team(owner), db=db, settings=cloud)["id"]
        act("cancel", run_id=str(run_id))
        assert entries(owner) == [("run.cancelled", True, "run", {"job_type": "revenuecat_sync"})]

    def test_a_redrive_tells_of_each_queue(self, act, dead_letter_queues, db, owner):
        event = {"command": "redrive", "caller": ARN}
        answer(event, db=db, settings=dead_letter_queues)
        assert [entry[0] for entry in entries(owner)] == ["dead_letters.redriven"] * 4

    @pytest.mark.parametrize(
        ("command", "arguments"),
        [
            ("trigger", {"job_type": "db_pruning"}),
            ("pause", {"job_type": "db_pruning", "why": "x", "by": "ada"}),
            ("send_test_mail", {"to": "a@b.example"}),
            ("setup", ACME),
        ],
    )
    def test_without_its_entry_nothing_changes(self, act, owner, command, arguments):
        owner.run_script("ALTER TABLE job_audit_entries ADD CHECK (action = 'none.is_right')")
        assert "job_audit_entries" in act(command, **arguments)["error"]
        counted = "SELECT (SELECT count(*) FROM {}) + (SELECT count(*) FROM {}) + (SELECT count(*) FROM {})"
        assert owner.run_script(counted.format("job_runs", "job_pauses", "teams")) == [[0]]
        assert owner.run_script("SELECT count(*) FROM job_outbox") == [[0]]

    def test_without_its_entry_a_run_goes_on(self, act, cloud, db, owner):
        run_id = str(trigger(make_team(owner), db=db, settings=cloud)["id"])
        owner.run_script("ALTER TABLE job_audit_entries ADD CHECK (action = 'none.is_right')")
        assert "job_audit_entries" in act("cancel", run_id=run_id)["error"]
        assert owner.run_script("SELECT status FROM job_runs") == [["pending"]]

    def test_a_run_that_nobody_asked_for_by_command_has_no_entry(self, cloud, db, owner):
        requests.create_system(JOB_TYPES["db_pruning"], params={}, triggered_by="system", db=db, settings=cloud)
        assert entries(owner) == []

    def test_a_command_line_of_an_earlier_release_names_nobody(self, act, owner):
        act("trigger", job_type="db_pruning", caller=None)
        assert owner.run_script("SELECT actor FROM job_audit_entries") == [["operator:unnamed"]]

    @pytest.mark.parametrize("caller", ["", 7, "x" * (MAX_CALLER + 1), "a\0", "a\ud800"])
    def test_a_caller_that_cannot_be_kept_is_refused(self, act, owner, caller):
        event = {"command": "trigger", "job_type": "db_pruning", "caller": caller}
        assert answer(event, db=owner, settings=None)["error"].startswith("caller must ")
        assert entries(owner) == []

    def test_every_command_that_writes_takes_an_author(self):
        """A new command is either one that only reads, or its change is told of."""
        from inspect import signature

        from nightshift_cli.remote.stack_functions import READING

        commands = OPERATING | SETTING_UP
        assert {name for name, command in commands.items() if "author" not in signature(command).parameters} == READING


class TestReading:
    @pytest.fixture
    def team(self, cloud, owner):
        return make_team(owner)

    @pytest.fixture
    def ask(self, team):
        return Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")

    def write(self, db, team_id, count):
        for number in range(count):
            audit.record(db, AUTHOR, "team.renamed", of=("team", team_id), team_id=team_id, number=number)

    def test_a_team_reads_its_own_entries_page_by_page_without_the_arn(self, ask, team, owner):
        other = make_team(owner, slug="others")
        self.write(owner, team.id, 5)
        self.write(owner, other.id, 1)
        audit.record(owner, AUTHOR, "job_type.paused", of=("job_type", "x"), team_id=None)
        seen, cursor = [], ""
        while cursor is not None:
            status, page = ask("GET", f"/v1/teams/{team.id}/audit", limit="2", cursor=cursor)
            assert status == 200
            assert page["has_more"] == (page["cursor"] is not None)
            seen += page["entries"]
            cursor = page["cursor"]
        assert [entry["details"]["number"] for entry in seen] == [4, 3, 2, 1, 0]
        assert {(entry["actor"], entry["team_id"]) for entry in seen} == {("operator", team.id)}
        assert ARN not in json.dumps(seen)

    def test_the_operator_reads_everything_with_the_arn(self, act, team, owner):
        self.write(owner, team.id, 2)
        audit.record(owner, AUTHOR, "job_type.paused", of=("job_type", "x"), team_id=None)
        first = act("audit", limit=2, caller=None)
        assert [(entry["team"], entry["actor"]) for entry in first["entries"]] == [
            (None, f"operator:{ARN}"), ("owls", f"operator:{ARN}"),
        ]  # fmt: skip
        last = act("audit", limit=2, cursor=first["cursor"], caller=None)
        assert (len(last["entries"]), last["cursor"]) == (1, None)
        assert act("audit", cursor="x", caller=None)["error"] == 'cursor must be a UUID, got "x"'

    def test_times_beyond_the_calendar_are_shown(self, ask, team, owner):
        self.write(owner, team.id, 1)
        owner.run_script("UPDATE job_audit_entries SET occurred_at = 'infinity'")
        assert ask("GET", f"/v1/teams/{team.id}/audit")[0] == 200
