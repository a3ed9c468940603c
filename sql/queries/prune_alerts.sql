-- Alerts and digests that have been kept long enough; and the shares of teams that have had no mail for a day.
WITH unused AS (
    DELETE FROM job_mail_shares
    WHERE clock_timestamp() - interval '1 day' > (SELECT max(mail) FROM unnest(sent_at) AS mail)
)
DELETE FROM job_outbox WHERE id IN (
    SELECT id FROM job_outbox
    WHERE ended_at <= statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8)) AND run_id IS NULL
    ORDER BY ended_at LIMIT CAST(:batch AS integer)
    FOR UPDATE SKIP LOCKED)
RETURNING id;
