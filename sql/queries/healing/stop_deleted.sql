-- Cancels these runs if their project or its team is still deleted or gone. Like cancel_run, it ends runs that no
-- worker holds, and leaves a request for the lease holder of the others.
WITH deleted AS (
    SELECT run.id
    FROM job_runs run
        LEFT JOIN projects project ON project.id = run.project_id AND project.deleted_at IS NULL
        LEFT JOIN teams team ON team.id = project.team_id AND team.deleted_at IS NULL
    WHERE run.id = ANY (CAST(:keys AS uuid[])) AND run.status IN ('pending', 'running')
      AND run.cancel_requested_at IS NULL AND run.project_id IS NOT NULL AND team.id IS NULL
    FOR UPDATE OF run SKIP LOCKED
)
UPDATE job_runs AS run
SET cancel_requested_at = clock_timestamp(), cancel_requested_by = 'sweep',
    status = CASE WHEN lease_expires_at IS NULL THEN 'cancelled' ELSE status END,
    completed_at = CASE WHEN lease_expires_at IS NULL THEN clock_timestamp() END,
    resend_at = NULL, waiting_for = NULL
FROM deleted WHERE run.id = deleted.id
RETURNING run.id, run.job_type, run.status;
