SELECT person.id, person.email, member.role
FROM team_members member JOIN users person ON person.id = member.user_id
WHERE member.team_id = CAST(:team_id AS uuid) AND person.deleted_at IS NULL
ORDER BY person.email;
