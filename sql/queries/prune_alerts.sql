DELETE FROM job_outbox WHERE id IN (
    SELECT id FROM job_outbox
    WHERE id = ANY (CAST(:keys AS uuid[])) AND ended_at IS NOT NULL AND run_id IS NULL
    FOR UPDATE SKIP LOCKED)
RETURNING id;
