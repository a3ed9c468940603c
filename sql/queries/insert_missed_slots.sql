-- A late delivery may decide one of them meanwhile: then it was not missed.
INSERT INTO job_schedule_slots (job_type, slot, outcome)
SELECT CAST(:job_type AS text), slot, 'missed' FROM unnest(CAST(:slots AS timestamptz[])) AS slot
ON CONFLICT DO NOTHING;
