-- The newest runs of each status, merged (list_runs.sql). Ordered by project_id, which is null in all of them, because IS
-- NULL alone does not let the planner skip the first column of an index.
SELECT *
FROM (
    -- One of each type at most, in the order of job_runs_one_live. OFFSET keeps the filters outside: with them, the
    -- planner would read the live runs of every team.
    (SELECT * FROM job_runs_public WHERE project_id IS NULL AND completed_at IS NULL
     ORDER BY project_id, job_type OFFSET 0)
    UNION ALL
    SELECT run.*
    FROM unnest(ARRAY['completed', 'failed', 'cancelled']) AS ended (status), LATERAL (
        SELECT * FROM job_runs_public
        WHERE project_id IS NULL AND status = ended.status AND completed_at IS NOT NULL
          AND (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
        ORDER BY project_id DESC, created_at DESC, id DESC LIMIT CAST(:limit AS integer)
    ) AS run
    WHERE CAST(:status AS text) IS NULL OR ended.status = CAST(:status AS text)
) AS run
WHERE (CAST(:job_type AS text) IS NULL OR job_type = CAST(:job_type AS text))
  AND (CAST(:status AS text) IS NULL OR status = CAST(:status AS text))
ORDER BY created_at DESC, id DESC
LIMIT CAST(:limit AS integer);
