INSERT INTO team_members (team_id, user_id, role)
VALUES (CAST(:team_id AS uuid), CAST(:user_id AS uuid), CAST(:role AS text))
ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role;
