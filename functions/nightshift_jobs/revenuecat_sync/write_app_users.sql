-- Writes a page of users, in one statement with the look at what it may write to. "written" is null if that is gone or
-- was changed. A sync with other parameters overwrites what the last complete one wrote, so that one is forgotten: the
-- next sync has to be a full one.
WITH overwritten AS (
  DELETE FROM job_revenuecat_projects
  WHERE project_id = CAST(:project_id AS uuid)
    AND (include_sandbox, revenuecat_project) <> (CAST(:include_sandbox AS boolean), CAST(:revenuecat_project AS text))
)
SELECT state, CASE state WHEN 'open' THEN job_revenuecat_write(CAST(:project_id AS uuid), CAST(:users AS jsonb)) END AS written
FROM job_revenuecat_place(CAST(:project_id AS uuid), CAST(:fingerprint AS text));
