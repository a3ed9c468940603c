-- Their slots go with them. The caller may have paused one whose time has passed: it goes as well.
DELETE FROM job_team_schedules WHERE id = ANY (CAST(:keys AS uuid[])) AND next_slot IS NULL RETURNING id;
