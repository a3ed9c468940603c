-- The schedules of a team's projects, or one of them, each with its last slot. maker_has_left: the person or the key that
-- made it no longer belongs to the team.
SELECT schedule.*, project.team_id, past.slot, past.outcome, past.reason, past.run_id,
       NOT EXISTS (
           SELECT FROM team_members member JOIN users person ON person.id = member.user_id
           WHERE split_part(schedule.created_by, ':', 2) = 'user' AND member.team_id = project.team_id
             AND person.id = CAST(split_part(schedule.created_by, ':', 3) AS uuid) AND person.deleted_at IS NULL
           UNION ALL
           SELECT FROM api_keys
           WHERE split_part(schedule.created_by, ':', 2) = 'api_key' AND api_keys.team_id = project.team_id
             AND api_keys.id = CAST(split_part(schedule.created_by, ':', 3) AS uuid) AND api_keys.deleted_at IS NULL
       ) AS maker_has_left
FROM job_team_schedules schedule
JOIN projects project ON project.id = schedule.project_id AND project.deleted_at IS NULL
JOIN teams team ON team.id = project.team_id AND team.deleted_at IS NULL
LEFT JOIN LATERAL (
    SELECT slot, outcome, reason, run_id FROM job_team_slots
    WHERE schedule_id = schedule.id ORDER BY slot DESC LIMIT 1
) AS past ON true
WHERE (CAST(:team_id AS uuid) IS NULL OR project.team_id = CAST(:team_id AS uuid))
  AND (CAST(:schedule_id AS uuid) IS NULL OR schedule.id = CAST(:schedule_id AS uuid))
  AND (CAST(:project_id AS uuid) IS NULL OR project.id = CAST(:project_id AS uuid))
  AND (CAST(:job_type AS text) IS NULL OR schedule.job_type = CAST(:job_type AS text))
ORDER BY schedule.created_at DESC, schedule.id LIMIT CAST(:limit AS integer);
