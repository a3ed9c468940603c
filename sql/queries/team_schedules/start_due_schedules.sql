-- Decides one slot of each of these schedules, which the caller has locked, and inserts the runs: all in one statement,
-- so that a slot and its run are stored together. :due is {"schedules": [{id, slot, outcome, run_id, params, provider,
-- refusal, missed, next_slot, delay_s}]}.
-- A slot is skipped for the first of these reasons: the caller's refusal, a deleted project, a pause of the operator or of
-- the team, a missing integration, a live run. Two schedules of a project and type that are due together start one run.
-- A schedule whose project was deleted for good is deleted as well.
-- A run waits for its turn until delay_s have passed, so that the runs of one minute are spread over it.
WITH orphans AS (
    DELETE FROM job_team_schedules
    WHERE id IN (SELECT CAST(each ->> 'id' AS uuid) FROM jsonb_array_elements(CAST(:due AS jsonb) -> 'schedules') AS each)
      AND NOT EXISTS (SELECT FROM projects WHERE projects.id = project_id)
), due AS MATERIALIZED (
    SELECT each.*, schedule.project_id, schedule.job_type, schedule.name, schedule.notify, schedule.skipped,
           team.id AS team_id, coalesce(
        each.refusal,
        CASE WHEN team.id IS NULL THEN 'the project is deleted' END,
        (SELECT 'paused by ' || paused_by || ': ' || why FROM job_pauses pause
         WHERE pause.job_type = schedule.job_type ORDER BY what DESC LIMIT 1),
        (SELECT 'paused by the team: ' || why FROM job_project_pauses held
         WHERE held.project_id = schedule.project_id AND held.job_type = schedule.job_type
           AND (held.until IS NULL OR held.until > statement_timestamp())),
        CASE WHEN each.provider IS NOT NULL AND NOT EXISTS (
                SELECT FROM project_integrations integration
                WHERE integration.project_id = schedule.project_id AND integration.provider = each.provider
                  AND integration.deleted_at IS NULL AND integration.config ->> 'enabled' IS DISTINCT FROM 'false')
             THEN 'the project has no integration with ' || each.provider END) AS reason
    FROM jsonb_to_recordset(CAST(:due AS jsonb) -> 'schedules') AS each (
             id uuid, slot timestamptz, outcome text, run_id uuid, params jsonb, provider text, refusal text,
             missed timestamptz[], next_slot timestamptz, delay_s float8)
    JOIN job_team_schedules schedule ON schedule.id = each.id
    JOIN projects project ON project.id = schedule.project_id
    LEFT JOIN teams team ON team.id = project.team_id AND team.deleted_at IS NULL AND project.deleted_at IS NULL
), live AS (
    SELECT due.id, run.id AS run_id
    FROM due JOIN job_runs run ON run.project_id = due.project_id AND run.job_type = due.job_type
    WHERE due.reason IS NULL AND run.completed_at IS NULL
), inserted AS (
    INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, params, notify, due_at, waiting_for,
                          resend_at, schedule_id)
    SELECT run_id, job_type, team_id, project_id, 'schedule', params, notify,
           clock_timestamp() + make_interval(secs => delay_s),
           CASE WHEN delay_s > 0 THEN 'its turn among the runs that are due at the same time' END,
           clock_timestamp() + make_interval(secs => delay_s + CAST(:resend_delay_s AS float8)), id
    FROM due
    WHERE reason IS NULL
    -- One order for all sessions, so that none waits for another that waits for it.
    ORDER BY project_id, job_type, id
    ON CONFLICT (project_id, job_type) WHERE completed_at IS NULL DO NOTHING
    RETURNING schedule_id, id AS run_id
), decided AS (
    SELECT due.*, inserted.run_id IS NOT NULL AS starts, coalesce(inserted.run_id, live.run_id) AS told_run_id,
           CASE WHEN inserted.run_id IS NULL THEN coalesce(due.reason, 'a run of this type is live') END AS told_reason
    FROM due LEFT JOIN inserted ON inserted.schedule_id = due.id LEFT JOIN live ON live.id = due.id
), missed AS (
    INSERT INTO job_team_slots (schedule_id, slot, outcome)
    SELECT id, unnest(missed), 'missed' FROM decided
    ON CONFLICT DO NOTHING
), slots AS (
    INSERT INTO job_team_slots (schedule_id, slot, outcome, reason, run_id)
    SELECT id, slot, CASE WHEN starts THEN outcome ELSE 'skipped' END, told_reason, told_run_id FROM decided
    ON CONFLICT DO NOTHING
), moved AS (
    UPDATE job_team_schedules schedule
    SET next_slot = decided.next_slot, skipped = CASE WHEN starts THEN 0 ELSE decided.skipped + 1 END
    FROM decided WHERE schedule.id = decided.id
)
SELECT id, job_type, name, project_id, team_id, starts, told_reason AS reason, skipped + 1 AS skipped,
       CAST(run_id AS text) AS run_id, delay_s
FROM decided ORDER BY delay_s;
