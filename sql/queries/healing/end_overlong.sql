-- Fails these runs if no worker holds them and their time is over, and records what they waited for. A run that a
-- worker holds is failed here after its slice; a claim refuses a run that has no time left.
UPDATE job_runs AS run
SET status = 'failed', completed_at = clock_timestamp(), resend_at = NULL, waiting_for = NULL,
    error = concat(
        'It ran for longer than ',
        trim_scale(round(CAST(extract(epoch FROM run.ends_by - run.started_at) / 3600 AS numeric), 1)),
        ' hours, the most that its job type allows', '. It was waiting for ' || run.waiting_for)
FROM (
    SELECT id FROM job_runs
    WHERE id = ANY (CAST(:keys AS uuid[])) AND status IN ('pending', 'running') AND lease_expires_at IS NULL
      AND ends_by <= clock_timestamp()
    FOR UPDATE SKIP LOCKED
) AS overlong
WHERE run.id = overlong.id
RETURNING run.id, run.job_type, run.status;
