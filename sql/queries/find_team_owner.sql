-- A key acts for the person it was made by, to whom its runs' mails go: the owner who has been there the longest.
SELECT member.user_id
FROM team_members member
JOIN users person ON person.id = member.user_id AND person.deleted_at IS NULL
WHERE member.team_id = CAST(:team_id AS uuid) AND member.role = 'owner'
ORDER BY member.created_at, member.user_id
LIMIT 1;
