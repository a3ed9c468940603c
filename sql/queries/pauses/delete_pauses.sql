-- For types and schedules alike. Restarts the expected-success timer of the resumed jobs.
WITH resumed AS (
    DELETE FROM job_pauses WHERE job_type = CAST(:job_type AS text)
    RETURNING job_type, what, paused_by, why, paused_at
), expected AS (
    UPDATE job_successes SET since = statement_timestamp(), overdue_at = statement_timestamp() + expected_within
    WHERE job_type IN (SELECT job_type FROM resumed)
)
SELECT * FROM resumed ORDER BY what;
