-- Each schedule with its last slots that are still kept, newest first. A schedule without slots has one row with nulls.
SELECT schedule.job_type, schedule.cron, schedule.active_since, schedule.next_slot, clock_timestamp() AS now,
       success.last_success_at, past.slot, past.outcome, past.reason, past.run_id, past.status, past.error
FROM job_schedules schedule
LEFT JOIN job_successes success ON success.job_type = schedule.job_type
LEFT JOIN LATERAL (
    SELECT slot.slot, slot.outcome, slot.reason, slot.run_id, run.status, run.error
    FROM job_schedule_slots slot LEFT JOIN job_runs run ON run.id = slot.run_id
    WHERE slot.job_type = schedule.job_type ORDER BY slot.slot DESC LIMIT CAST(:slots AS integer)
) AS past ON true
ORDER BY schedule.job_type, past.slot DESC;
