-- Deletes alerts and digests whose retention time is over, and the shares of teams without a mail for a day.
WITH unused AS (
    DELETE FROM job_mail_shares
    WHERE statement_timestamp() - interval '1 day' > (SELECT max(mail) FROM unnest(sent_at) AS mail)
)
DELETE FROM job_outbox WHERE id IN (
    SELECT id FROM job_outbox
    WHERE id = ANY (CAST(:keys AS uuid[])) AND ended_at IS NOT NULL AND run_id IS NULL
    FOR UPDATE SKIP LOCKED)
RETURNING id;
