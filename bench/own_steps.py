"""The steps of a run, and beside them plain updates of a row as wide as a run's."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.costs import Cost, cost_of_each
from bench.own_runs import Project, functions_on, job_type, request, work_runs
from bench.parts import settings_of
from local.postgres import Postgres
from nightshift.database.connection import connect
from nightshift.database.queries import Database
from nightshift.jobs import Progress

# So that all cursors have the same number of digits.
FIRST, TOTAL = 1_000_000, 9_999_999
# The columns of a run, and no index but the primary key.
BARE = """
    CREATE TABLE bare WITH (fillfactor = 70) AS SELECT * FROM job_runs;
    ALTER TABLE bare ADD PRIMARY KEY (id);
    GRANT SELECT, UPDATE ON bare TO nightshift_worker
"""
UPDATE = """
    UPDATE bare SET cursor = CAST(:cursor AS jsonb), progress = CAST(:progress AS jsonb) WHERE id = CAST(:id AS uuid)
"""


@dataclass(frozen=True)
class Updates:
    """The cost of an update, and the state of its table after all of them."""

    cost: Cost
    hot: float
    """The part of the updates that changed no index."""
    grown_bytes: int
    dead_rows: int
    vacuums: int


def measure_steps(server: Postgres, database: str, project: Project, *, steps: int) -> tuple[Updates, Updates]:
    """Return the cost of a step that only reports its progress, and that of an UPDATE with its COMMIT."""
    owner = Database(settings_of(server, database, "postgres"))

    with functions_on(server, database) as sent:

        def yields(count: int) -> None:
            def stepping(run: Any, db: Any) -> Any:
                for number in range(count):
                    yield _progress(number)

            with job_type(stepping) as name:
                work_runs([project], name, sent=sent, trigger=request, at_once=1)

        yields(100)
        owner.run_script(BARE)
        owner.close()
        ours = _measured(yields, "job_runs", server, database, steps=steps)

    def bare_updates(count: int) -> None:
        connection = connect(settings_of(server, database, "nightshift_worker"), {})
        [[row_id]] = connection.run("SELECT CAST(id AS text) FROM bare ORDER BY ctid DESC LIMIT 1")
        update = connection.prepare(UPDATE)
        for number in range(count):
            progress = _progress(number)
            update.run(cursor=progress.cursor_text, progress=json.dumps(progress.as_json()), id=row_id)
        connection.close()

    return ours, _measured(bare_updates, "bare", server, database, steps=steps)


def _progress(number: int) -> Progress:
    return Progress(processed=FIRST + number, total=TOTAL, message="Counted", cursor={"done": FIRST + number})


def _measured(work: Callable[[int], None], table: str, server: Postgres, database: str, *, steps: int) -> Updates:
    owner = Database(settings_of(server, database, "postgres"))

    def state() -> list[int]:
        [row] = owner.run_script(
            "SELECT n_tup_upd, n_tup_hot_upd, pg_total_relation_size(relid), n_dead_tup, autovacuum_count"
            f" FROM pg_stat_user_tables WHERE relname = '{table}'"
        )
        owner.close()
        return row

    before = state()
    cost = cost_of_each(work, server, database, many=100 + steps)
    updates, hot, grown_bytes, dead_rows, vacuums = (now - then for now, then in zip(state(), before, strict=True))
    return Updates(cost, hot / updates, grown_bytes, dead_rows, vacuums)
