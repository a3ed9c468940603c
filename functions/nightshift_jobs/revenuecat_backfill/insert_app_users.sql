-- Creates the users that are missing, in one statement with the look at what it may write to (write_app_users.sql).
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
), made AS (
    INSERT INTO app_users (project_id, user_id)
    SELECT CAST(:project_id AS uuid), given.user_id
    FROM place, jsonb_array_elements_text(CAST(:user_ids AS jsonb)) AS given (user_id)
    WHERE place.state = 'open'
      AND NOT EXISTS (SELECT FROM app_users u
                      WHERE u.project_id = CAST(:project_id AS uuid) AND u.user_id = given.user_id)
    ON CONFLICT DO NOTHING
    RETURNING app_users.user_id
)
SELECT state, (SELECT count(*) FROM made) AS made FROM place;
