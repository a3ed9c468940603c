-- The time from which all ages of the run are counted, and the number of live apps.
SELECT CAST(clock_timestamp() AS text) AS now,
       (SELECT count(*) FROM apps app
        JOIN projects project ON project.id = app.project_id JOIN teams team ON team.id = project.team_id
        WHERE app.deleted_at IS NULL AND project.deleted_at IS NULL AND team.deleted_at IS NULL) AS apps;
