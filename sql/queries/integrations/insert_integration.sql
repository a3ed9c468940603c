-- No row: the project has an integration for this provider, or was deleted.
INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)
SELECT id, CAST(:provider AS text), CAST(:config AS jsonb), CAST(:secret_encrypted AS bytea)
FROM projects WHERE id = CAST(:project_id AS uuid) AND deleted_at IS NULL
ON CONFLICT (project_id, provider) WHERE deleted_at IS NULL DO NOTHING
RETURNING id, project_id, provider, config, created_at, updated_at;
