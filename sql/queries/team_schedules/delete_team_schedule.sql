-- Its slots go with it; its runs stay.
DELETE FROM job_team_schedules WHERE id = CAST(:schedule_id AS uuid);
