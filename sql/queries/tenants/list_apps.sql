SELECT id, project_id, name, platform, bundle_id, created_at FROM apps
WHERE project_id = CAST(:project_id AS uuid) AND deleted_at IS NULL
ORDER BY name, id
LIMIT CAST(:limit AS integer);
