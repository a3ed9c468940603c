-- A sync with other parameters overwrites what the last complete one wrote: the next one has to be a full one.
DELETE FROM job_revenuecat_projects
WHERE project_id = CAST(:project_id AS uuid)
  AND (include_sandbox, revenuecat_project) <> (CAST(:include_sandbox AS boolean), CAST(:revenuecat_project AS text));
