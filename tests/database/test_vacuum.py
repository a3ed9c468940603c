"""The tables that grow with every run are vacuumed after a number of changes, however many rows they have."""

import pytest

from nightshift.database.queries import Database


@pytest.mark.parametrize("table", ["job_runs", "job_slices", "job_outbox"])
def test_vacuum_and_analyze_do_not_wait_for_a_share_of_the_table(owner: Database, table: str) -> None:
    options = dict(
        owner.run_script(
            "SELECT option.option_name, option.option_value FROM pg_class,"
            f" pg_options_to_table(reloptions) AS option WHERE oid = CAST('{table}' AS regclass)"
        )
    )
    shares = [name for name in options if name.endswith("_scale_factor")]
    assert len(shares) == 3
    for share in shares:
        threshold = share.replace("_scale_factor", "_threshold")
        assert (float(options[share]), 0 < int(options[threshold]) <= 100_000) == (0, True)
