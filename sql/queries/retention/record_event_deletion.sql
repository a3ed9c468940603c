-- Runs in the transaction of the deletion. One row for each run, project, table and reason; its count grows.
INSERT INTO event_deletions (run_id, project_id, event_table, reason, cutoff, deleted)
SELECT CAST(:run_id AS uuid), project_id, CAST(:event_table AS text), CAST(:reason AS text),
       CAST(:cutoff AS timestamptz), CAST(:deleted AS bigint)
FROM apps WHERE id = CAST(:app_id AS uuid)
ON CONFLICT (run_id, project_id, event_table, reason)
-- A project's retention may change in the middle of a run.
DO UPDATE SET deleted = event_deletions.deleted + excluded.deleted,
              cutoff = greatest(event_deletions.cutoff, excluded.cutoff), updated_at = clock_timestamp();
