-- Its runs stay. Retention deletes its slots.
DELETE FROM job_team_schedules WHERE id = CAST(:schedule_id AS uuid);
