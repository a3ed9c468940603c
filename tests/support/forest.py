"""Teams with all rows below them, some of them soft-deleted, and the rows that should remain after a cleanup."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from nightshift.database.queries import Database

GRACE_DAYS = 7
EVENTS = ("events", "metric_events", "funnel_events")
DEFINITIONS = ("metric_definitions", "funnel_definitions")
# Parents first.
TABLES = ("teams", "projects", "apps", "api_keys", *DEFINITIONS, "project_integrations", "app_users", "team_members",
          "job_runs", *EVENTS)  # fmt: skip


@dataclass(frozen=True)
class Node:
    """A row; ``days`` since it was soft-deleted, or None."""

    table: str
    id: str
    parent: "Node | None"
    days: float | None = None

    def is_left(self) -> bool:
        """Return whether the row remains. Its topmost soft-deleted ancestor protects it or is deleted with it."""
        line, node = [], self
        while node:
            line.append(node)
            node = node.parent
        for above in reversed(line):
            if above.days is not None:
                return above.days <= GRACE_DAYS
        return True


@dataclass
class Forest:
    nodes: list[Node] = field(default_factory=list)

    def add(self, table: str, parent: Node | None = None, days: float | None = None) -> Node:
        node = Node(table, str(uuid.UUID(int=len(self.nodes) + 1)), parent, days)
        self.nodes.append(node)
        return node

    def left(self) -> dict[str, set[str]]:
        return {table: {node.id for node in self.nodes if node.table == table and node.is_left()} for table in TABLES}

    def gone(self) -> dict[str, int]:
        return {table: sum(n.table == table and not n.is_left() for n in self.nodes) for table in TABLES}

    def plant(self, owner: Database) -> None:
        """Replace all existing rows by this forest."""
        emptied = ("job_outbox", "job_slices", *reversed(TABLES), "event_deletions", "users")
        statements = [f"DELETE FROM {table}" for table in emptied]
        owner.run_script(";".join(statements + [statement for node in self.nodes for statement in _inserts(node)]))


def stored(owner: Database) -> dict[str, set[str]]:
    """Return the ids of each table's rows (for memberships, of the users)."""
    columns = {table: "user_id" if table == "team_members" else "id" for table in TABLES}
    conditions = {"job_runs": "WHERE project_id IS NOT NULL"}
    selects = (f"SELECT '{t}', {c}::text FROM {t} {conditions.get(t, '')}" for t, c in columns.items())
    rows: dict[str, set[str]] = {table: set() for table in TABLES}
    for table, row_id in owner.run_script(" UNION ALL ".join(selects)):
        rows[table].add(row_id)
    return rows


def audited(owner: Database) -> dict[tuple[str, str, str], int]:
    """Return deleted events by (project id, table, reason)."""
    rows = owner.run_script("SELECT project_id::text, event_table, reason, deleted FROM event_deletions")
    return {(project, table, reason): deleted for project, table, reason, deleted in rows}


def _inserts(node: Node) -> list[str]:
    above = node.parent
    match node.table:
        case "teams":
            values: dict[str, Any] = {"name": "T", "slug": node.id}
        case "projects":
            values = {"team_id": above.id, "name": "P", "slug": node.id}
        case "apps":
            values = {"project_id": above.id, "name": "A"}
        case "api_keys" if above.table == "apps":
            team = above.parent.parent
            values = {"team_id": team.id, "app_id": above.id, "key_type": "client", "key_prefix": "owl_client_"}
            values["key_hash"] = "\\x" + uuid.UUID(node.id).hex * 2
        case "api_keys":
            values = {"team_id": above.id, "key_type": "agent", "key_prefix": "owl_agent_"}
            values["key_hash"] = "\\x" + uuid.UUID(node.id).hex * 2
        case "metric_definitions" | "funnel_definitions":
            values = {"project_id": above.id, "name": "D", "slug": node.id}
        case "project_integrations":
            values = {"project_id": above.id, "provider": node.id, "secret_encrypted": "x"}
        case "app_users":
            values = {"project_id": above.id, "user_id": node.id}
        case "team_members":
            return [
                f"INSERT INTO users (id, email) VALUES ('{node.id}', '{node.id}@example.com')",
                f"INSERT INTO team_members VALUES ('{above.id}', '{node.id}', 'member')",
            ]
        case "job_runs":
            return [
                "INSERT INTO job_runs"
                " (id, job_type, team_id, project_id, triggered_by, status, started_at, completed_at)"
                f" VALUES ('{node.id}', 'revenuecat_sync', '{above.parent.id}', '{above.id}', 'x', 'completed',"
                " clock_timestamp(), clock_timestamp())",
                "INSERT INTO job_slices (run_id, slice, request_id, started_at, outcome)"
                f" SELECT '{node.id}', slice, 'request', now(), 'continued' FROM generate_series(0, 1) AS slice",
                f"INSERT INTO job_outbox (run_id, recipient) VALUES ('{node.id}', 'somebody@example.com')",
            ]
        case _:
            kinds = {
                "events": {"message": "m"},
                "metric_events": {"metric_slug": "m", "phase": "p"},
                "funnel_events": {"step_name": "s"},
            }
            values = {"app_id": above.id, "timestamp": "now", **kinds[node.table]}
    columns = ", ".join(f'"{name}"' for name in values)
    literals = ", ".join(f"'{value}'" for value in values.values())
    if node.days is not None:
        columns, literals = f"{columns}, deleted_at", f"{literals}, now() - interval '{node.days} days'"
    return [f"INSERT INTO {node.table} (id, {columns}) VALUES ('{node.id}', {literals})"]
