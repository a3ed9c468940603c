-- A key acts for the person who created it, and that person gets the mails of its runs: the longest-standing owner of
-- the team.
SELECT member.user_id
FROM team_members member
JOIN users person ON person.id = member.user_id AND person.deleted_at IS NULL
WHERE member.team_id = CAST(:team_id AS uuid) AND member.role = 'owner'
ORDER BY member.created_at, member.user_id
LIMIT 1;
