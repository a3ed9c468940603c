-- A slice of the sync starts from this: whether the project and its integration are there, and the last complete sync.
SELECT CASE WHEN team.id IS NULL THEN 'deleted'
            WHEN integration.id IS NULL THEN 'removed'
            WHEN integration.config ->> 'enabled' = 'false' THEN 'disabled'
            ELSE 'open' END AS state,
       integration.config, integration.secret_encrypted,
       encode(sha256(integration.secret_encrypted), 'hex') AS fingerprint,
       last.include_sandbox, last.revenuecat_project, CAST(last.synced_since AS text) AS synced_since,
       CAST(clock_timestamp() AS text) AS now
FROM (VALUES (CAST(:project_id AS uuid))) AS wanted (id)
LEFT JOIN projects project ON project.id = wanted.id AND project.deleted_at IS NULL
LEFT JOIN teams team ON team.id = project.team_id AND team.deleted_at IS NULL
LEFT JOIN project_integrations integration
    ON integration.project_id = wanted.id AND integration.provider = 'revenuecat' AND integration.deleted_at IS NULL
LEFT JOIN job_revenuecat_projects last ON last.project_id = wanted.id;
