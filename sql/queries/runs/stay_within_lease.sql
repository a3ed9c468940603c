-- The fence of the statement that run_alone is about to run. Sets and returns the session's time limit. No row: the
-- slice is lost.
WITH held AS (
    SELECT cancel_requested_at IS NOT NULL AS cancel_requested,
           least(CAST(extract(epoch FROM lease_expires_at - clock_timestamp()) AS float8)
                 - CAST(:kept_back_s AS float8), CAST(:longest_s AS float8)) AS limit_s
    FROM job_runs
    WHERE id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer) AND status IN ('pending', 'running')
      AND lease_expires_at IS NOT NULL
)
SELECT cancel_requested, limit_s,
       set_config('statement_timeout', format('%sms', greatest(1, floor(1000 * limit_s))), false) FROM held;
