-- Writes a page of users, in one statement with the look at what it may write to: the run's project and team, and the
-- integration that the page was fetched with. "written" is null if any of these is gone or was changed.
WITH place AS (
    SELECT CASE WHEN team.id IS NULL THEN 'deleted'
                WHEN integration.id IS NULL THEN 'removed'
                WHEN integration.config ->> 'enabled' = 'false' THEN 'disabled'
                WHEN integration.config <> CAST(:config AS jsonb)
                     OR encode(sha256(integration.secret_encrypted), 'hex') <> CAST(:fingerprint AS text) THEN 'changed'
                ELSE 'open' END AS state
    FROM (VALUES (CAST(:project_id AS uuid))) AS wanted (id)
    LEFT JOIN projects project ON project.id = wanted.id AND project.deleted_at IS NULL
    LEFT JOIN teams team ON team.id = project.team_id AND team.deleted_at IS NULL
    LEFT JOIN project_integrations integration
        ON integration.project_id = wanted.id AND integration.provider = 'revenuecat' AND integration.deleted_at IS NULL
)
SELECT state,
       CASE state WHEN 'open' THEN job_revenuecat_write(CAST(:project_id AS uuid), CAST(:users AS jsonb)) END AS written
FROM place;
