SELECT slot FROM job_schedule_slots
WHERE job_type = CAST(:job_type AS text) AND slot >= CAST(:since AS timestamptz);
