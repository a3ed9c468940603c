-- Creates the users that are missing, in one statement with the look at what it may write to. "written" is null if that
-- is gone or was changed.
SELECT state, CASE state WHEN 'open' THEN job_revenuecat_insert(CAST(:project_id AS uuid), CAST(:user_ids AS text[])) END AS written
FROM job_revenuecat_place(CAST(:project_id AS uuid), CAST(:fingerprint AS text));
