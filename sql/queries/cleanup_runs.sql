-- The next ended runs of a project or of a team (the other is null), oldest first, with their slices and mails. One
-- statement, so that the foreign keys are looked at when all three are gone.
WITH batch AS MATERIALIZED (
    SELECT id, created_at FROM job_runs
    WHERE (CAST(:project_id AS uuid) IS NULL OR project_id = CAST(:project_id AS uuid))
      AND (CAST(:team_id AS uuid) IS NULL OR team_id = CAST(:team_id AS uuid))
      AND created_at BETWEEN CAST(:first AS timestamptz) AND CAST(:last AS timestamptz)
      AND status NOT IN ('pending', 'running')
    ORDER BY created_at LIMIT CAST(:batch AS integer)
), mails AS (
    DELETE FROM job_outbox WHERE run_id IN (SELECT id FROM batch)
), slices AS (
    DELETE FROM job_slices WHERE run_id IN (SELECT id FROM batch)
), runs AS (
    DELETE FROM job_runs WHERE id IN (SELECT id FROM batch) RETURNING id
)
SELECT (SELECT count(*) FROM runs) AS deleted, CAST(max(created_at) AS text) AS reached FROM batch;
