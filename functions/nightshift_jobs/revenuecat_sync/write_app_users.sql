-- Writes a page of users, in one statement with the look at what it may write to. "written" is null if that is gone or
-- was changed. A sync with other parameters overwrites what the last complete one wrote, so the next has to be a full one.
WITH place AS MATERIALIZED (
    SELECT state FROM job_revenuecat_place(CAST(:project_id AS uuid), CAST(:fingerprint AS text))
), forgotten AS (
    DELETE FROM job_revenuecat_projects AS last USING place
    WHERE place.state = 'open' AND last.project_id = CAST(:project_id AS uuid)
      AND (last.include_sandbox, last.revenuecat_project)
          <> (CAST(:include_sandbox AS boolean), CAST(:revenuecat_project AS text))
)
SELECT state, CASE state WHEN 'open' THEN job_revenuecat_write(CAST(:project_id AS uuid), CAST(:users AS jsonb)) END AS written
FROM place;
