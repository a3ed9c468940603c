DELETE FROM job_outbox WHERE id IN (
    SELECT id FROM job_outbox
    WHERE ended_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8)) AND run_id IS NULL
    ORDER BY ended_at LIMIT CAST(:batch AS integer)
    FOR UPDATE SKIP LOCKED)
RETURNING id;
