-- How many bulk actions of the team are at work, and how many are previews that may still be confirmed.
SELECT count(*) FILTER (WHERE confirmed_at IS NOT NULL AND ended_at IS NULL) AS working,
       count(*) FILTER (WHERE confirmed_at IS NULL) AS previews
FROM job_bulk_actions
WHERE team_id = CAST(:team_id AS uuid)
  AND (ended_at IS NULL AND confirmed_at IS NOT NULL OR created_at > statement_timestamp() - interval '1 hour');
