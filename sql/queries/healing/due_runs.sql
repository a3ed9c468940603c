-- The live runs that each healer has to look at, those that have been due the longest first, from one look at each live
-- run. Locks none: the healer's statement checks the run again. Reads no table of the platform, so that a missing right
-- there keeps no run from being recovered.
SELECT healer, key
FROM (
    SELECT due.healer, CAST(run.id AS text) AS key,
           row_number() OVER (PARTITION BY due.healer ORDER BY due.since) AS place
    FROM job_runs run, LATERAL (VALUES
        -- Its worker died or froze.
        ('expired', run.lease_expires_at <= statement_timestamp(), run.lease_expires_at),
        -- No worker holds it, and its time is over.
        ('overlong', run.lease_expires_at IS NULL AND run.ends_by <= statement_timestamp(), run.ends_by),
        -- Its message was not claimed in time.
        ('unclaimed', run.lease_expires_at IS NULL AND run.resend_at <= statement_timestamp(), run.resend_at)
    ) AS due (healer, is_so, since)
    WHERE run.completed_at IS NULL AND due.is_so
) AS found
WHERE place <= CAST(:at_most AS integer)
ORDER BY healer, place;
