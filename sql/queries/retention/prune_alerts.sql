-- Deletes alerts and digests whose retention time is over, the shares of teams without a mail for a day, and the sums of
-- the log lines of teams that are gone.
WITH unused AS (
    DELETE FROM job_mail_shares
    WHERE statement_timestamp() - interval '1 day' > (SELECT max(mail) FROM unnest(sent_at) AS mail)
), without_team AS (
    DELETE FROM job_log_shares AS share
    WHERE NOT EXISTS (SELECT FROM teams WHERE teams.id = share.team_id)
)
DELETE FROM job_outbox WHERE id IN (
    SELECT id FROM job_outbox
    WHERE id = ANY (CAST(:keys AS uuid[])) AND ended_at IS NOT NULL AND run_id IS NULL
    FOR UPDATE SKIP LOCKED)
RETURNING id;
