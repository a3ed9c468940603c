-- The user, with one row per team; one row with nulls for a user without a team.
SELECT person.id, person.email, team.id AS team_id, team.name AS team_name, team.slug AS team_slug, member.role
FROM users person
LEFT JOIN (team_members member JOIN teams team ON team.id = member.team_id AND team.deleted_at IS NULL)
       ON member.user_id = person.id
WHERE person.id = CAST(:user_id AS uuid) AND person.deleted_at IS NULL
ORDER BY team.slug;
