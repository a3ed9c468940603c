-- The runs that a digest reports: failed ones first, then in the order in which they ended. Each row carries the total
-- counts.
SELECT run.job_type, run.status, run.error, run.completed_at, project.name AS project,
       count(*) FILTER (WHERE run.status = 'completed') OVER () AS completed,
       count(*) FILTER (WHERE run.status = 'failed') OVER () AS failed,
       count(*) FILTER (WHERE run.status = 'cancelled') OVER () AS cancelled
FROM job_outbox mail
    JOIN job_runs_public run ON run.id = mail.run_id
    LEFT JOIN projects project ON project.id = run.project_id
WHERE mail.digest_id = CAST(:outbox_id AS uuid)
ORDER BY run.status = 'failed' DESC, run.completed_at, run.id
LIMIT CAST(:at_most AS integer);
