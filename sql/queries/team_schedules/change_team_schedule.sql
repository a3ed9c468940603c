-- Returns nothing if another schedule of the project is the same: two equal ones would start one run.
UPDATE job_team_schedules AS schedule
SET name = CAST(:name AS text), cron = CAST(:cron AS text), run_at = CAST(:run_at AS timestamptz),
    zone = CAST(:zone AS text), params = CAST(:params AS jsonb), notify = CAST(:notify AS boolean),
    next_slot = CASE WHEN paused_at IS NULL THEN CAST(:next_slot AS timestamptz) END,
    skipped = 0, updated_at = clock_timestamp()
WHERE id = CAST(:schedule_id AS uuid) AND NOT EXISTS (
    SELECT FROM job_team_schedules other
    WHERE other.project_id = schedule.project_id AND other.job_type = schedule.job_type AND other.id <> schedule.id
      AND other.zone = CAST(:zone AS text) AND other.cron IS NOT DISTINCT FROM CAST(:cron AS text)
      AND other.run_at IS NOT DISTINCT FROM CAST(CAST(:run_at AS timestamptz) AS timestamptz(3))
      AND jsonb_hash_extended(other.params, 0) = jsonb_hash_extended(CAST(:params AS jsonb), 0))
RETURNING id;
