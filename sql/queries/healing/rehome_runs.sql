-- A live run moves with its project to another team, whose members can then see and stop it. The former team no longer
-- sees what the run writes. The caller's idempotency key is removed, because it would lead there.
WITH moved AS (
    SELECT run.id, project.team_id FROM job_runs run JOIN projects project ON project.id = run.project_id
    WHERE run.id = ANY (CAST(:keys AS uuid[])) AND run.status IN ('pending', 'running')
      AND project.team_id <> run.team_id
    FOR UPDATE OF run SKIP LOCKED
)
UPDATE job_runs run SET team_id = moved.team_id, idempotency_key = NULL, request_hash = NULL
FROM moved WHERE run.id = moved.id
RETURNING run.id;
