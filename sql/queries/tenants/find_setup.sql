-- The rows that setup_team created under these slugs.
SELECT team.id AS team_id, project.id AS project_id, member.user_id AS admin_id
FROM teams team
JOIN projects project ON project.team_id = team.id AND project.deleted_at IS NULL
JOIN team_members member ON member.team_id = team.id AND member.role = 'owner'
WHERE team.slug = CAST(:team_slug AS text) AND team.deleted_at IS NULL AND project.slug = CAST(:project_slug AS text)
ORDER BY member.created_at
LIMIT 1;
