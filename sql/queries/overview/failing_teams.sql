-- The teams with the most failures since first_day.
SELECT team.id AS team_id, team.name AS team, counted.completed, counted.failed
FROM (
    SELECT team_id, sum(completed) AS completed, sum(failed) AS failed
    FROM job_days WHERE day >= CAST(:first_day AS date) AND team_id IS NOT NULL
    GROUP BY team_id HAVING sum(failed) > 0
) AS counted JOIN teams team ON team.id = counted.team_id
ORDER BY counted.failed DESC, team.id LIMIT CAST(:at_most AS integer);
