-- Changes the config, but not the secret. config_patch holds the fields that change; a null takes a field out.
UPDATE project_integrations
SET config = jsonb_strip_nulls(config || CAST(:config_patch AS jsonb)), updated_at = clock_timestamp()
WHERE project_id = CAST(:project_id AS uuid) AND provider = CAST(:provider AS text) AND deleted_at IS NULL
RETURNING id, project_id, provider, config, created_at, updated_at;
