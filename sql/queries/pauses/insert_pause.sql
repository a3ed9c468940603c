-- No row: already paused.
INSERT INTO job_pauses (job_type, what, paused_by, why)
VALUES (CAST(:job_type AS text), CAST(:what AS text), CAST(:paused_by AS text), CAST(:why AS text))
ON CONFLICT DO NOTHING
RETURNING job_type, what, paused_by, why, paused_at;
