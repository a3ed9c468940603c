"""What a run and a step cost the database, by counts. bench/run_costs.py shows the same beside other job queues."""

from collections.abc import Iterator

import pytest

from bench.costs import counting_server
from bench.log_lines import LINES, cost_of_steps
from bench.own_runs import database_with_projects, request
from bench.own_steps import measure_steps
from bench.run_costs import cost_of_run
from local.postgres import Postgres

# Measured, and a reserve: ids are random, so the splits of index pages differ. A step costs the most WAL, 249 bytes, if
# it is slow: its time then differs from that of the step before, by a millisecond or more.
MOST_WAL_OF_A_RUN, MOST_ENTRIES_OF_A_RUN, MOST_BUFFERS_OF_A_RUN = 2_700, 14.2, 160
MOST_WAL_OF_A_STEP, MOST_BUFFERS_OF_A_STEP = 252, 7.5
# The most that a step may cost of an UPDATE with its COMMIT.
MOST_OF_AN_UPDATE = 1.2


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Start a server without autovacuum, whose work depends on time."""
    with counting_server(autovacuum="off") as server:
        yield server


@pytest.mark.parametrize("at_once", [1, 10])
def test_a_run_that_does_nothing(server, at_once):
    cost = cost_of_run(server, f"runs_{at_once}", trigger=request, at_once=at_once, few=20, many=220)
    # The trigger, the claim and the ending.
    assert (cost.statements, cost.transactions, cost.commits) == (3, 3, 3)
    assert cost.index_entries <= MOST_ENTRIES_OF_A_RUN
    assert cost.wal_bytes <= MOST_WAL_OF_A_RUN
    assert cost.buffers <= MOST_BUFFERS_OF_A_RUN


def test_ten_lines_a_step_need_no_statement_and_no_commit_of_their_own(server):
    [project, *_] = database_with_projects(server, "lines", projects=20)
    without, with_lines = (cost_of_steps(server, "lines", project, steps=400, lines=lines) for lines in (0, LINES))
    assert (with_lines.statements, with_lines.transactions, with_lines.commits) == (1, 1, 1)
    # Each twentieth yield stores two hundred lines: a row, its compressed lines, and two index entries.
    assert with_lines.index_entries <= without.index_entries + 0.15
    assert with_lines.buffers <= without.buffers + 2
    assert with_lines.wal_bytes <= without.wal_bytes + 150


def test_a_step_is_little_more_than_an_update(server):
    [project, *_] = database_with_projects(server, "steps", projects=20)
    ours, bare = measure_steps(server, "steps", project, steps=1_000)
    assert (ours.cost.statements, ours.cost.transactions, ours.cost.commits) == (1, 1, 1)
    assert (bare.cost.statements, bare.cost.transactions, bare.cost.commits) == (1, 1, 1)
    assert ours.cost.index_entries == 0
    assert ours.cost.wal_bytes <= min(MOST_WAL_OF_A_STEP, MOST_OF_AN_UPDATE * bare.cost.wal_bytes)
    assert ours.cost.buffers <= MOST_BUFFERS_OF_A_STEP
    # Only the claims and endings of the measured runs change an index.
    assert ours.hot > 0.99
