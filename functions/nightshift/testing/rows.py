"""A team with people, a key and projects; a run's rows; and one invocation of the worker or the sweep."""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.healing import sweep as healer
from nightshift.runs import executor


@dataclass
class Team:
    id: str
    project_id: str
    users: dict[str, str] = field(default_factory=dict)
    """User ids by role."""
    agent_key: str = ""


def make_team(owner: Database, *, slug: str = "owls", projects: int = 1) -> Team:
    """Create a team with owner, admin, member, agent key and projects. Return it with its first project."""
    team_id, key = str(uuid.uuid4()), f"owl_agent_{uuid.uuid4().hex}"
    project_ids = [str(uuid.uuid4()) for _ in range(projects)]
    users = {role: str(uuid.uuid4()) for role in ("owner", "admin", "member")}
    statements = [f"INSERT INTO teams (id, name, slug) VALUES ('{team_id}', 'The {slug}', '{slug}')"]
    for role, user_id in users.items():
        statements.append(f"INSERT INTO users (id, email) VALUES ('{user_id}', '{role}@{slug}.example')")
        statements.append(
            f"INSERT INTO team_members (team_id, user_id, role) VALUES ('{team_id}', '{user_id}', '{role}')"
        )
    for number, project_id in enumerate(project_ids):
        statements.append(
            f"INSERT INTO projects (id, team_id, name, slug)"
            f" VALUES ('{project_id}', '{team_id}', 'Project {number}', 'project-{number}')"
        )
    statements.append(
        "INSERT INTO api_keys (team_id, created_by, key_type, key_hash, key_prefix, permissions)"
        f" VALUES ('{team_id}', '{users['admin']}', 'agent', '\\x{hashlib.sha256(key.encode()).hexdigest()}',"
        f" '{key[:14]}', '{{jobs:read,jobs:write}}')"
    )
    owner.run_script(";".join(statements))
    return Team(team_id, project_ids[0], users, key)


def run_row(owner: Database, run_id: object) -> dict[str, Any]:
    """Return the whole row, as JSON."""
    [[row]] = owner.run_script(f"SELECT to_jsonb(job_runs) FROM job_runs WHERE id = '{run_id}'")
    return dict(row)


def slices(owner: Database, run_id: object) -> list[list[Any]]:
    """Return ``[slice, outcome, reason]`` of each slice, in order."""
    return owner.run_script(f"SELECT slice, outcome, reason FROM job_timeline WHERE run_id = '{run_id}' ORDER BY slice")


def age(owner: Database, run_id: object, seconds: float) -> None:
    """Let the run's times be over ``seconds`` earlier, except its longest duration."""
    owner.run_script(
        f"UPDATE job_runs SET due_at = due_at - interval '{seconds} s', resend_at = resend_at - interval '{seconds} s',"
        f" lease_expires_at = lease_expires_at - interval '{seconds} s' WHERE id = '{run_id}'"
    )


def work(run_id: object, number: int, *, db: Database, settings: Settings, remaining_s: float = 60) -> None:
    """Invoke the worker once, with a constant remaining time."""
    executor.work(
        str(run_id), number, db=db, settings=settings, remaining_s=lambda: remaining_s, request_id="test-request"
    )


def sweep(
    *, db: Database, settings: Settings, now: datetime | None = None, remaining_s: Callable[[], float] = lambda: 50
) -> dict[str, int]:
    """Sweep once, with a constant clock."""
    return healer.sweep(now=now or datetime.now(UTC), db=db, settings=settings, remaining_s=remaining_s)
