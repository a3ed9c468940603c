-- A worker's reason for giving up its slice. The sweep keeps it when it counts the slice as lost.
UPDATE job_slices SET reason = CAST(:reason AS text)
WHERE run_id = CAST(:run_id AS uuid) AND slice = CAST(:slice AS integer) AND ended_at IS NULL;
