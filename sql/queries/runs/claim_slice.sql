-- A slice number is claimed once, when it is due, while the run has time left and no worker holds it. A claim never
-- takes over an expired lease: only the sweep takes a run from its lease holder, and it raises the number first.
-- The first claim sets the run's time limit, by job type.
-- A run whose type is one of :capped is not claimed here, because it needs a place first (take_place.sql). Then it is
-- claimed in the same transaction, with :capped empty.
-- Returns the claimed run, or the run that is not due yet or needs a place, or nothing. early_s are the seconds until the run is due
-- (zero or negative for a claimed run). left_s are the seconds that the claimed run may still take.
-- The clock is read once for both; otherwise a message that falls due in between would be neither claimed nor sent on.
WITH at AS MATERIALIZED (SELECT clock_timestamp() AS time), claimed AS (
    UPDATE job_runs AS run
    SET status = 'running',
        started_at = coalesce(started_at, at.time),
        ends_by = coalesce(ends_by, at.time + make_interval(secs => coalesce(
            CAST(CAST(:max_durations AS jsonb)->>job_type AS float8), CAST(:max_duration_s AS float8)))),
        lease_expires_at = at.time + make_interval(secs => CAST(:lease_s AS float8)),
        slice_started_at = at.time, request_id = CAST(:request_id AS text), abandoned_because = NULL,
        resend_at = NULL, resends = 0, waiting_for = NULL
    FROM at
    WHERE id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer) AND status IN ('pending', 'running')
      AND lease_expires_at IS NULL AND due_at <= at.time AND (ends_by IS NULL OR ends_by > at.time)
      AND job_type <> ALL (CAST(:capped AS text[]))
    RETURNING run.*, at.time - due_at AS lag, ends_by - at.time AS remaining
)
SELECT id, job_type, team_id, project_id, params, progress, cursor, cursor_version, slice, failed_attempts,
       CAST(-extract(epoch FROM lag) AS float8) AS early_s, CAST(extract(epoch FROM remaining) AS float8) AS left_s,
       false AS needs_place, 0 AS held_s
FROM claimed
UNION ALL
SELECT id, job_type, team_id, project_id, params, progress, cursor, cursor_version, slice, failed_attempts,
       CAST(extract(epoch FROM due_at - at.time) AS float8), 0, due_at <= at.time,
       CASE WHEN held_slice = slice THEN CAST(extract(epoch FROM at.time - held_since) AS float8) ELSE 0 END
FROM job_runs, at
WHERE id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer) AND status IN ('pending', 'running')
  AND lease_expires_at IS NULL AND (due_at > at.time OR job_type = ANY (CAST(:capped AS text[])));
