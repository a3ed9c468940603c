-- The last success of each schedule, and whether it is older than expected.
SELECT job_type, last_success_at, since, extract(epoch FROM statement_timestamp() - since)::float8 AS silent_s,
       since + expected_within < statement_timestamp()
       AND NOT EXISTS (SELECT FROM job_pauses pause WHERE pause.job_type = success.job_type) AS is_overdue
FROM job_successes success ORDER BY job_type;
