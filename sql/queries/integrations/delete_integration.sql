-- The cleanup deletes the row a week later.
UPDATE project_integrations SET deleted_at = clock_timestamp()
WHERE project_id = CAST(:project_id AS uuid) AND provider = CAST(:provider AS text) AND deleted_at IS NULL
RETURNING id;
