-- Slots that start nothing: missed, or skipped for a reason. Returns those that it inserted: a late delivery may decide
-- the others meanwhile.
INSERT INTO job_schedule_slots (job_type, slot, outcome, reason)
SELECT CAST(:job_type AS text), slot, CASE WHEN CAST(:reason AS text) IS NULL THEN 'missed' ELSE 'skipped' END,
       CAST(:reason AS text)
FROM unnest(CAST(:slots AS timestamptz[])) AS slot
ON CONFLICT DO NOTHING
RETURNING slot;
