-- A slice of the sync starts from this: whether the project and its integration are there, and which sync wrote last.
SELECT place.state, place.revenuecat_project AS wanted_project, place.secret_encrypted, place.fingerprint,
       last.include_sandbox, last.revenuecat_project, last.synced_since IS NOT NULL AS is_complete,
       CAST(clock_timestamp() AS text) AS now
FROM job_revenuecat_place(CAST(:project_id AS uuid), NULL) AS place
LEFT JOIN job_revenuecat_projects last ON last.project_id = CAST(:project_id AS uuid);
