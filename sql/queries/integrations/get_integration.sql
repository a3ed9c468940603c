-- The integration of a run's project, for the worker, which alone reads the secret.
SELECT config, secret_encrypted FROM project_integrations
WHERE project_id = CAST(:project_id AS uuid) AND provider = CAST(:provider AS text) AND deleted_at IS NULL;
