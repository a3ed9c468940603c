-- An unchanged schedule keeps its record of successes.
INSERT INTO job_successes AS success (job_type, expected_within, overdue_at)
VALUES (CAST(:job_type AS text), make_interval(secs => CAST(:expected_within_s AS float8)),
        clock_timestamp() + make_interval(secs => CAST(:expected_within_s AS float8)))
ON CONFLICT (job_type) DO UPDATE
SET expected_within = excluded.expected_within, overdue_at = excluded.overdue_at, since = excluded.since
WHERE success.expected_within <> excluded.expected_within;
