SELECT job_type, cron, next_slot FROM job_schedules
WHERE job_type = CAST(:job_type AS text) AND next_slot <= CAST(:until AS timestamptz)
FOR UPDATE SKIP LOCKED;
