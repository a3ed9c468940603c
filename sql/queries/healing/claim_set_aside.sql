-- Rows that the operator has not been told about. One mail an hour lists all of them, however many rows a common cause
-- sets aside.
UPDATE job_set_aside SET told_at = clock_timestamp()
WHERE told_at IS NULL AND attempts > 0 AND key <> ''
  AND NOT EXISTS (SELECT FROM job_set_aside WHERE told_at > statement_timestamp() - interval '1 hour')
RETURNING healer, key, error;
