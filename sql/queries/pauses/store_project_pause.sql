-- A pause that is in force keeps its time; one whose end has passed is a new one.
INSERT INTO job_project_pauses AS known (project_id, job_type, paused_by, why, until)
VALUES (CAST(:project_id AS uuid), CAST(:job_type AS text), CAST(:paused_by AS text), CAST(:why AS text),
        CAST(:until AS timestamptz))
ON CONFLICT (project_id, job_type) DO UPDATE
SET paused_by = excluded.paused_by, why = excluded.why, until = excluded.until,
    paused_at = CASE WHEN known.until <= clock_timestamp() THEN excluded.paused_at ELSE known.paused_at END
RETURNING job_type, 'project' AS what, paused_by, why, paused_at, until;
