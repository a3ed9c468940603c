-- The integrations of a project. The API may not read their secrets.
SELECT id, project_id, provider, config, created_at, updated_at FROM project_integrations
WHERE project_id = CAST(:project_id AS uuid) AND deleted_at IS NULL
  AND (CAST(:provider AS text) IS NULL OR provider = CAST(:provider AS text))
ORDER BY provider;
