WITH expected AS (
    DELETE FROM job_successes WHERE job_type <> ALL (CAST(:kept AS text[]))
)
DELETE FROM job_schedules WHERE job_type <> ALL (CAST(:kept AS text[]));
