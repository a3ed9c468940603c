-- No locks in advance: nobody updates a slot, and of two sweeps at once the second finds its rows gone.
DELETE FROM job_schedule_slots WHERE (job_type, slot) IN (
    SELECT job_type, slot FROM job_schedule_slots
    WHERE decided_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8))
    ORDER BY decided_at LIMIT CAST(:batch AS integer))
RETURNING slot;
