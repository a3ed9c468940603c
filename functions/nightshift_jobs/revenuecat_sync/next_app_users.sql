SELECT id, user_id, is_anonymous
FROM app_users
WHERE project_id = CAST(:project_id AS uuid)
  AND (CAST(:after AS uuid) IS NULL OR id > CAST(:after AS uuid))
ORDER BY id
LIMIT CAST(:page_size AS integer);
