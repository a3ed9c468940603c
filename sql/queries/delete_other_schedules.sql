DELETE FROM job_schedules WHERE job_type <> ALL (CAST(:kept AS text[]));
