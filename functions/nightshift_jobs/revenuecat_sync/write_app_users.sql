-- Writes a page of users, in one statement with the look at what it may write to. "written" is null if that is gone or
-- was changed. A sync with other parameters than the last one overwrites what that one wrote, so none is complete.
WITH place AS MATERIALIZED (
    SELECT state FROM job_revenuecat_place(CAST(:project_id AS uuid), CAST(:fingerprint AS text))
), noted AS (
    INSERT INTO job_revenuecat_projects (project_id, include_sandbox, revenuecat_project)
    SELECT CAST(:project_id AS uuid), CAST(:include_sandbox AS boolean), CAST(:revenuecat_project AS text)
    FROM place
    WHERE place.state = 'open'
      AND NOT EXISTS (SELECT FROM job_revenuecat_projects same
                      WHERE same.project_id = CAST(:project_id AS uuid)
                        AND same.include_sandbox = CAST(:include_sandbox AS boolean)
                        AND same.revenuecat_project = CAST(:revenuecat_project AS text))
    ON CONFLICT (project_id) DO UPDATE
    SET include_sandbox = excluded.include_sandbox, revenuecat_project = excluded.revenuecat_project, synced_since = NULL
)
SELECT state, CASE state WHEN 'open' THEN job_revenuecat_write(CAST(:project_id AS uuid), CAST(:users AS jsonb)) END AS written
FROM place;
