-- Takes one mail of the team's hourly share, if one is left. The team's row is locked, so that two attempts do not take
-- the same one. While a digest waits, all mails of the team are digested; otherwise new mails would take every free
-- place, and the digest would wait forever. opens_at is when a place is free again.
WITH taken AS (
    INSERT INTO job_mail_shares AS share (team_id, sent_at)
    SELECT CAST(:team_id AS uuid), ARRAY[clock_timestamp()]
    WHERE CAST(:is_digest AS boolean) OR NOT EXISTS (
        SELECT FROM job_outbox WHERE team_id = CAST(:team_id AS uuid) AND takes_more AND status = 'unsent')
    ON CONFLICT (team_id) DO UPDATE
    SET sent_at = clock_timestamp()
        || ARRAY(SELECT mail FROM unnest(share.sent_at) AS mail WHERE mail > clock_timestamp() - interval '1 hour')
    WHERE CAST(:at_most AS integer) > (
        SELECT count(*) FROM unnest(share.sent_at) AS mail WHERE mail > clock_timestamp() - interval '1 hour')
    RETURNING team_id
)
SELECT EXISTS (SELECT FROM taken) AS is_taken, greatest(clock_timestamp(), (
    SELECT mail + interval '1 hour' FROM job_mail_shares, unnest(sent_at) AS mail
    WHERE team_id = CAST(:team_id AS uuid) ORDER BY mail DESC OFFSET CAST(:at_most AS integer) - 1 LIMIT 1
)) AS opens_at;
