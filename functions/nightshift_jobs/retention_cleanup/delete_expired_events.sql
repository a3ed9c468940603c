-- Deletes the next expired events of an app. Returns no row, and deletes nothing, if the app or its project was deleted or
-- moved, or if the project's retention is no longer the one that the job read. Sessions that change one of the two rows
-- wait for the end of the step, and a step that waited for such a session looks at the new row.
WITH held AS MATERIALIZED (
    SELECT FROM apps app JOIN projects project ON project.id = app.project_id
    WHERE app.id = CAST(:app_id AS uuid) AND project.id = CAST(:project_id AS uuid)
      AND app.deleted_at IS NULL AND project.deleted_at IS NULL
      AND EXISTS (SELECT FROM teams team WHERE team.id = project.team_id AND team.deleted_at IS NULL)
      AND to_jsonb(project)->>CAST(:column AS text) IS NOT DISTINCT FROM CAST(:retention AS text)
    FOR NO KEY UPDATE OF app, project
)
SELECT deleted, reached, in_the_way
FROM held, LATERAL cleanup_batch(CAST(:relation AS text), 'app_id', CAST(:app_id AS uuid), 'timestamp',
                                 CAST(:first AS text), CAST(:last AS text), CAST(:batch AS integer));
