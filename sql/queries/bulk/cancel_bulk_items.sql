-- Cancels the runs of these items, which the caller has locked, and stores the outcomes: all in one statement. Like
-- cancel_run, it ends runs that no worker holds, and leaves a request for the lease holder of the others. An item whose
-- run is locked by another session stays to be done.
WITH wanted AS MATERIALIZED (
    SELECT item.id AS item_id, run.id AS run_id, action.confirmed_by,
           CASE WHEN run.id IS NULL THEN 'it is deleted'
                WHEN run.completed_at IS NOT NULL THEN format('it is %s already', run.status)
                WHEN home.team_id IS DISTINCT FROM action.team_id THEN 'its project belongs to another team'
           END AS reason
    FROM job_bulk_items item JOIN job_bulk_actions action ON action.id = item.action_id
        LEFT JOIN job_runs run ON run.id = item.run_id
        LEFT JOIN projects home ON home.id = run.project_id
    WHERE item.id = ANY (CAST(:keys AS uuid[]))
), live AS (
    SELECT run.id, wanted.confirmed_by
    FROM wanted JOIN job_runs run ON run.id = wanted.run_id
    WHERE wanted.reason IS NULL AND run.status IN ('pending', 'running')
    ORDER BY run.id FOR NO KEY UPDATE OF run SKIP LOCKED
), cancelled AS (
    UPDATE job_runs AS run
    SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
        cancel_requested_by = coalesce(cancel_requested_by, live.confirmed_by),
        status = CASE WHEN lease_expires_at IS NULL THEN 'cancelled' ELSE status END,
        completed_at = CASE WHEN lease_expires_at IS NULL THEN clock_timestamp() END,
        resend_at = NULL, waiting_for = NULL
    FROM live WHERE run.id = live.id
    RETURNING run.id, run.job_type, run.status
)
UPDATE job_bulk_items AS item
SET outcome = CASE WHEN cancelled.status = 'cancelled' THEN 'cancelled' WHEN cancelled.id IS NOT NULL THEN 'asked'
                   ELSE 'skipped' END,
    reason = CASE WHEN cancelled.id IS NULL THEN wanted.reason END, decided_at = clock_timestamp()
FROM wanted LEFT JOIN cancelled ON cancelled.id = wanted.run_id
WHERE item.id = wanted.item_id AND (cancelled.id IS NOT NULL OR wanted.reason IS NOT NULL)
RETURNING item.run_id, item.job_type, item.outcome;
