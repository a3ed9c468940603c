"""``python -m local.seed FOLDER``: add the demo team, with the database and the KMS key that the environment names.

It is a separate process, because settings and AWS clients come from the environment and are read once. It prints the
ids and the agent key as JSON.
"""

import json
import sys
from pathlib import Path

from local.files import write_private
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.database.session_pins import pin_session
from nightshift.tenants.agent_keys import find_team, new_agent_key
from nightshift.tenants.audit import Author
from nightshift.tenants.auth import key_hash
from nightshift.tenants.team_setup import setup_team, store_revenuecat_key

DEMO = "demo"
ADMIN_EMAIL = "owner@demo.test"
# The credentials that the sandbox accepts.
REVENUECAT_KEY = "sk_sandbox"
REVENUECAT_PROJECT_ID = "proj1a2b3c4d"
# The app users of demo.sql, as the sandbox's customers.
USERS = 1000
AUTHOR = Author(actor="operator:local stack", request_id="make run")


def seed(db: Database, *, kept: Path) -> dict[str, str]:
    """Add missing rows. Return team_id, project_id, admin_id and agent_key; the file ``kept`` keeps the agent key."""
    pin_session(db)
    project = db.one("find_project", team_slug=DEMO, project_slug=DEMO)
    if project is None:
        made = setup_team(db, author=AUTHOR, team_name="Demo", admin_email=ADMIN_EMAIL, project_name="Demo")
        ids, key = {"team_id": made.team_id, "project_id": made.project_id, "admin_id": made.admin_id}, made.agent_key
    else:
        team_id = find_team(db, team_slug=DEMO)
        [owner] = db.query("find_team_owner", team_id=team_id)
        ids = {"team_id": team_id, "project_id": str(project["id"]), "admin_id": str(owner["user_id"])}
        key = (
            _kept_key(db, kept, team_id=ids["team_id"])
            or new_agent_key(db, author=AUTHOR, team_id=ids["team_id"], created_by=ids["admin_id"]).key
        )
    write_private(kept, {"agent_key": key})
    # Each start of local AWS creates a new KMS key.
    store_revenuecat_key(
        db,
        author=AUTHOR,
        team_id=ids["team_id"],
        project_id=ids["project_id"],
        key=REVENUECAT_KEY,
        revenuecat_project_id=REVENUECAT_PROJECT_ID,
    )
    db.run_script((Path(__file__).parent / "demo.sql").read_text())
    return ids | {"agent_key": key}


def _kept_key(db: Database, kept: Path, *, team_id: str) -> str | None:
    """Return the agent key of an earlier start if this database accepts it."""
    try:
        key: str = json.loads(kept.read_text())["agent_key"]
    except (OSError, ValueError, KeyError):
        return None
    row = db.one("find_api_key", key_hash=key_hash(key))
    return key if row and str(row["team_id"]) == team_id and not row["expired"] else None


if __name__ == "__main__":
    database = Database(Settings.from_environment())
    try:
        print(json.dumps(seed(database, kept=Path(sys.argv[1]) / "demo.json")))
    finally:
        database.close()
