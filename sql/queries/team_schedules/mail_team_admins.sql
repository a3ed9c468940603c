-- Writes a mail that is not about a run to each admin of the team.
INSERT INTO job_outbox (content, recipient)
SELECT CAST(:content AS jsonb), btrim(person.email)
FROM team_members member JOIN users person ON person.id = member.user_id
WHERE member.team_id = CAST(:team_id AS uuid) AND member.role IN ('admin', 'owner')
  AND person.deleted_at IS NULL AND btrim(person.email) <> '';
