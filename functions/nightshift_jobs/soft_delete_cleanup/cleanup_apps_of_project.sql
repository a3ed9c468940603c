SELECT CAST(id AS text) AS id
FROM apps
WHERE project_id = CAST(:parent AS uuid) AND (CAST(:after AS uuid) IS NULL OR id > CAST(:after AS uuid))
ORDER BY id LIMIT CAST(:page AS integer);
