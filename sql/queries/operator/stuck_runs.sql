-- Live runs that the sweep should have picked up by now: the oldest one, and their number.
SELECT id, job_type, count(*) OVER () AS stuck,
       extract(epoch FROM statement_timestamp() - coalesce(lease_expires_at, resend_at)) AS overdue_s
FROM job_runs
WHERE completed_at IS NULL
  AND coalesce(lease_expires_at, resend_at) < statement_timestamp() - make_interval(secs => CAST(:grace_s AS float8))
ORDER BY coalesce(lease_expires_at, resend_at) LIMIT 1;
