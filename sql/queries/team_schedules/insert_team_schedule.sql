-- Returns one row: whether the project belongs to the team, the id of the new schedule, or that of the same schedule if
-- it exists already. Without either id, the team has as many schedules as it may have; those that have started once and
-- will not start again do not count.
WITH home AS (
    SELECT project.id
    FROM projects project JOIN teams team ON team.id = project.team_id
    WHERE project.id = CAST(:project_id AS uuid) AND project.team_id = CAST(:team_id AS uuid)
      AND project.deleted_at IS NULL AND team.deleted_at IS NULL
), same AS (
    SELECT schedule.id
    FROM job_team_schedules schedule JOIN home ON home.id = schedule.project_id
    WHERE schedule.job_type = CAST(:job_type AS text) AND schedule.zone = CAST(:zone AS text)
      AND schedule.cron IS NOT DISTINCT FROM CAST(:cron AS text)
      AND schedule.run_at IS NOT DISTINCT FROM CAST(CAST(:run_at AS timestamptz) AS timestamptz(3))
      AND jsonb_hash_extended(schedule.params, 0) = jsonb_hash_extended(CAST(:params AS jsonb), 0)
), inserted AS (
    INSERT INTO job_team_schedules (id, project_id, job_type, name, cron, run_at, zone, params, notify, created_by,
                                    next_slot)
    SELECT CAST(:id AS uuid), home.id, CAST(:job_type AS text), CAST(:name AS text), CAST(:cron AS text),
           CAST(:run_at AS timestamptz), CAST(:zone AS text), CAST(:params AS jsonb), CAST(:notify AS boolean),
           CAST(:created_by AS text), CAST(:next_slot AS timestamptz)
    FROM home
    WHERE NOT EXISTS (SELECT FROM same) AND CAST(:at_most AS integer) > (
        SELECT count(*)
        FROM job_team_schedules other JOIN projects project ON project.id = other.project_id
        WHERE project.team_id = CAST(:team_id AS uuid) AND (other.next_slot IS NOT NULL OR other.paused_at IS NOT NULL))
    RETURNING id
)
SELECT EXISTS (SELECT FROM home) AS has_project, CAST((SELECT id FROM inserted) AS text) AS id,
       CAST((SELECT id FROM same) AS text) AS same_id;
