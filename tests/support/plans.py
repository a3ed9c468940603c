"""The cost of a statement: its plan, executed with values as on the functions' connections."""

import json
import re
from typing import Any

from nightshift.database.queries import Database, query_text


def explained(db: Database, query: str, **params: Any) -> tuple[int, int]:
    """Return the returned rows and touched shared buffers of sql/queries/<query>.sql. Missing parameters are null."""
    statement = query_text(query).rstrip().rstrip(";")
    for name in set(re.findall(r"(?<!:):(\w+)", statement)):
        value = params.get(name)
        literal = "NULL" if value is None else str(value) if isinstance(value, int) else f"'{value}'"
        statement = re.sub(rf"(?<!:):{name}\b", lambda _, literal=literal: literal, statement)
    (plan,) = db.run_script(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")[0]
    top = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    return top["Actual Rows"], top["Shared Hit Blocks"] + top["Shared Read Blocks"]
