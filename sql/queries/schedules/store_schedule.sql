-- An unchanged schedule keeps its history and its next slot.
INSERT INTO job_schedules AS schedule (job_type, cron, active_since, next_slot)
VALUES (CAST(:job_type AS text), CAST(:cron AS text), CAST(:active_since AS timestamptz),
        CAST(:next_slot AS timestamptz))
ON CONFLICT (job_type) DO UPDATE
SET cron = excluded.cron, active_since = excluded.active_since, next_slot = excluded.next_slot
WHERE schedule.cron <> excluded.cron;
