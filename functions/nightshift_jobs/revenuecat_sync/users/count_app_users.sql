SELECT count(*) AS total FROM app_users WHERE project_id = CAST(:project_id AS uuid);
