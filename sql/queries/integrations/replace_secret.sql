UPDATE project_integrations SET secret_encrypted = CAST(:secret_encrypted AS bytea)
WHERE project_id = CAST(:project_id AS uuid) AND provider = CAST(:provider AS text) AND deleted_at IS NULL
RETURNING id;
