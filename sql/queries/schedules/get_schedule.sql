SELECT cron, active_since FROM job_schedules WHERE job_type = CAST(:job_type AS text);
