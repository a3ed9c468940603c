-- One row if the project has a RevenueCat integration. The API may not read its secret.
SELECT project_id
FROM project_integrations
WHERE project_id = CAST(:project_id AS uuid) AND provider = 'revenuecat' AND deleted_at IS NULL;
