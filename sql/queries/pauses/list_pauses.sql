SELECT job_type, what, paused_by, why, paused_at FROM job_pauses ORDER BY job_type, what;
