SELECT config, secret_encrypted
FROM project_integrations
WHERE project_id = CAST(:project_id AS uuid) AND provider = 'revenuecat' AND deleted_at IS NULL;
