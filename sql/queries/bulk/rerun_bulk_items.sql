-- Runs the runs of these items again, which the caller has locked, and stores the outcomes: all in one statement, so that
-- no crash starts one twice. :due is {"items": [{id, run_id, params, provider, refusal}]}, with the id of each new run.
-- An item is skipped for the first of these reasons: its run is deleted, the caller's refusal, a deleted project, another
-- team, it was run again already, another run of its type since the preview, a pause of the operator or of the team, a missing
-- integration, a live run.
WITH due AS MATERIALIZED (
    SELECT each.id, each.run_id, each.params, each.provider, old.id AS old_id, old.job_type, old.notify,
           project.id AS project_id, project.team_id, action.confirmed_by,
           CASE WHEN action.from_cursor THEN old.cursor END AS cursor,
           CASE WHEN action.from_cursor THEN old.cursor_version END AS cursor_version,
           CASE WHEN action.from_cursor THEN old.progress END AS progress, coalesce(
        CASE WHEN old.id IS NULL THEN 'it is deleted' END,
        each.refusal,
        CASE WHEN team.id IS NULL THEN 'its project is deleted' END,
        CASE WHEN project.team_id <> action.team_id THEN 'its project belongs to another team' END,
        CASE WHEN old.completed_at IS NULL THEN 'it is still live' END,
        CASE WHEN action.from_cursor AND old.status = 'completed'
             THEN 'it is completed: it can be run again from the start only' END,
        (SELECT format('it was run again already, as %s', again.id)
         FROM job_runs again WHERE again.rerun_of = old.id ORDER BY again.created_at DESC LIMIT 1),
        (SELECT format('another run of this type has ended since, %s', since.id)
         FROM unnest(ARRAY['completed', 'failed', 'cancelled']) AS ended (status), LATERAL (
             SELECT id FROM job_runs
             WHERE project_id = project.id AND job_type = old.job_type AND status = ended.status
               AND completed_at IS NOT NULL AND created_at > action.created_at
             LIMIT 1) AS since
         LIMIT 1),
        (SELECT format('%s is paused by %s: %s', old.job_type, paused_by, why) FROM job_pauses pause
         WHERE pause.job_type = old.job_type AND what = 'type'),
        (SELECT format('%s is paused by the team: %s', old.job_type, why) FROM job_project_pauses held
         WHERE held.project_id = project.id AND held.job_type = old.job_type
           AND (held.until IS NULL OR held.until > statement_timestamp())),
        CASE WHEN each.provider IS NOT NULL AND NOT EXISTS (
                SELECT FROM project_integrations integration
                WHERE integration.project_id = project.id AND integration.provider = each.provider
                  AND integration.deleted_at IS NULL AND integration.config ->> 'enabled' IS DISTINCT FROM 'false')
             THEN format('its project has no integration with %s', each.provider) END) AS reason
    FROM jsonb_to_recordset(CAST(:due AS jsonb) -> 'items') AS each (
             id uuid, run_id uuid, params jsonb, provider text, refusal text)
    JOIN job_bulk_items item ON item.id = each.id
    JOIN job_bulk_actions action ON action.id = item.action_id
    LEFT JOIN job_runs old ON old.id = item.run_id
    LEFT JOIN projects project ON project.id = old.project_id
    LEFT JOIN teams team ON team.id = project.team_id AND team.deleted_at IS NULL AND project.deleted_at IS NULL
), live AS (
    SELECT due.id, run.id AS run_id
    FROM due JOIN job_runs run ON run.project_id = due.project_id AND run.job_type = due.job_type
    WHERE due.reason IS NULL AND run.completed_at IS NULL
), inserted AS (
    INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, params, notify, cursor, cursor_version,
                          progress, rerun_of, resend_at)
    SELECT run_id, job_type, team_id, project_id, confirmed_by, params, notify, cursor, cursor_version, progress, old_id,
           clock_timestamp() + make_interval(secs => CAST(:resend_delay_s AS float8))
    FROM due
    WHERE reason IS NULL AND NOT EXISTS (SELECT FROM live WHERE live.id = due.id)
    -- One order for all sessions, so that none waits for another that waits for it.
    ORDER BY project_id, job_type, run_id
    ON CONFLICT (project_id, job_type) WHERE completed_at IS NULL DO NOTHING
    RETURNING id, team_id
)
UPDATE job_bulk_items AS item
SET outcome = CASE WHEN inserted.id IS NULL THEN 'skipped' ELSE 'started' END, new_run_id = inserted.id,
    reason = CASE WHEN inserted.id IS NULL THEN coalesce(due.reason, 'a run of this type is live' || coalesce(
        ', ' || (SELECT CAST(run_id AS text) FROM live WHERE live.id = due.id), '')) END,
    decided_at = clock_timestamp()
FROM due LEFT JOIN inserted ON inserted.id = due.run_id
WHERE item.id = due.id
RETURNING item.job_type, item.outcome, CAST(inserted.id AS text) AS run_id, inserted.team_id;
