UPDATE job_schedules SET next_slot = CAST(:next_slot AS timestamptz) WHERE job_type = CAST(:job_type AS text);
