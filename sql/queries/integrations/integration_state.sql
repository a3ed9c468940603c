-- Whether a run of the project finds its provider's key: "open", "disabled" or "removed". No row: the team has no such
-- project.
SELECT CASE WHEN integration.id IS NULL THEN 'removed'
            WHEN integration.config ->> 'enabled' = 'false' THEN 'disabled'
            ELSE 'open' END AS state
FROM projects project
LEFT JOIN project_integrations integration
    ON integration.project_id = project.id AND integration.provider = CAST(:provider AS text)
   AND integration.deleted_at IS NULL
WHERE project.id = CAST(:project_id AS uuid) AND project.team_id = CAST(:team_id AS uuid);
