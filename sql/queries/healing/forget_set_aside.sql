-- These healers have finished: a row that was due by then and was not set aside again is healed or gone.
DELETE FROM job_set_aside WHERE healer = ANY (CAST(:healers AS text[])) AND retry_at <= CAST(:due AS timestamptz);
