-- Writes a page of users, in one statement with the look at what it may write to. "written" is null if that is gone or
-- was changed.
SELECT state, CASE state WHEN 'open' THEN job_revenuecat_write(CAST(:project_id AS uuid), CAST(:users AS jsonb)) END AS written
FROM job_revenuecat_place(CAST(:project_id AS uuid), CAST(:fingerprint AS text));
