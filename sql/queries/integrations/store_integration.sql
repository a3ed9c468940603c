INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)
VALUES (CAST(:project_id AS uuid), CAST(:provider AS text), CAST(:config AS jsonb), CAST(:secret_encrypted AS bytea))
ON CONFLICT (project_id, provider) WHERE deleted_at IS NULL DO UPDATE
SET config = excluded.config, secret_encrypted = excluded.secret_encrypted, updated_at = clock_timestamp();
