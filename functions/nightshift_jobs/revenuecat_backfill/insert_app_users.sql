-- Creates the users that are missing, in one statement with the look at what it may write to.
WITH place AS MATERIALIZED (
    SELECT state FROM job_revenuecat_place(CAST(:project_id AS uuid), CAST(:fingerprint AS text))
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
