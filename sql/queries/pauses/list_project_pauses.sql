-- The pauses that stop a project's jobs from starting: of these job types by the operator, and by the team. Those of the
-- operator come first, because they stand above the others.
SELECT job_type, 'type' AS what, paused_by, why, paused_at, NULL::timestamptz AS until
FROM job_pauses WHERE what = 'type' AND job_type = ANY (CAST(:job_types AS text[]))
UNION ALL
SELECT job_type, 'project', paused_by, why, paused_at, until
FROM job_project_pauses
WHERE project_id = CAST(:project_id AS uuid) AND job_type = ANY (CAST(:job_types AS text[]))
  AND (until IS NULL OR until > clock_timestamp())
ORDER BY what DESC, job_type;
