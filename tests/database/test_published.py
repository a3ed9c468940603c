"""A platform may publish all of its tables for logical replication, so each table needs a key for its rows."""

from tests.support.executor_world import counting_to

WITHOUT_IDENTITY = """
SELECT CAST(oid AS regclass)::text FROM pg_class c
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relreplident = 'd'
  AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)
"""


def test_every_table_has_a_key_by_which_its_rows_are_known(owner):
    assert owner.run_script(WITHOUT_IDENTITY) == []
    owner.run_script("CREATE TABLE no_key (value int)")
    assert owner.run_script(WITHOUT_IDENTITY) == [["no_key"]]


def test_a_run_goes_its_way_where_all_tables_are_published(run_of, owner):
    run = run_of(counting_to(3))
    owner.run_script("ALTER TABLE steps ADD PRIMARY KEY (run_id, step); CREATE PUBLICATION everything FOR ALL TABLES")
    assert run.finish(remaining_s=1).result == {"counted": 3}
