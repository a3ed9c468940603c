-- A key acts for the person it was made by, to whom its runs' mails go: the owner who has been there the longest.
SELECT team.id AS team_id, member.user_id
FROM teams team
JOIN team_members member ON member.team_id = team.id AND member.role = 'owner'
JOIN users person ON person.id = member.user_id AND person.deleted_at IS NULL
WHERE team.slug = CAST(:team_slug AS text) AND team.deleted_at IS NULL
ORDER BY member.created_at, member.user_id
LIMIT 1;
