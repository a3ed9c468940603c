-- A worker's reason for giving up its slice. The sweep keeps it when it counts the slice as lost. Does not wait for the
-- worker's own session, which may still hold the row.
UPDATE job_runs SET abandoned_because = CAST(:reason AS text)
WHERE id IN (SELECT id FROM job_runs
             WHERE id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer) AND lease_expires_at IS NOT NULL
             FOR NO KEY UPDATE SKIP LOCKED);
