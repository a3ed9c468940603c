-- Slots that start nothing: missed, or skipped for a reason. Returns the inserted slots; a late delivery may have
-- decided the others.
INSERT INTO job_schedule_slots (job_type, slot, outcome, reason)
SELECT CAST(:job_type AS text), slot, CASE WHEN CAST(:reason AS text) IS NULL THEN 'missed' ELSE 'skipped' END,
       CAST(:reason AS text)
FROM unnest(CAST(:slots AS timestamptz[])) AS slot
ON CONFLICT DO NOTHING
RETURNING slot;
