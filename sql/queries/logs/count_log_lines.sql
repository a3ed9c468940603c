-- Adds the lines of these ended runs, the oldest that are not counted yet, to what their teams store. Returns each of the
-- teams, and whether it may be above the limit.
WITH stored AS (
    SELECT run.team_id, CAST(sum(log.bytes) AS bigint) AS bytes
    FROM job_runs run JOIN job_run_logs log ON log.run_id = run.id
    WHERE run.id = ANY (CAST(:keys AS uuid[])) AND run.team_id IS NOT NULL
    GROUP BY run.team_id
), moved AS (
    UPDATE job_sweep SET logs_until = greatest(
        logs_until, (SELECT max(completed_at) FROM job_runs WHERE id = ANY (CAST(:keys AS uuid[]))))
)
INSERT INTO job_log_shares AS share (team_id, bytes)
SELECT team_id, bytes FROM stored ORDER BY team_id
ON CONFLICT (team_id) DO UPDATE SET bytes = share.bytes + excluded.bytes
RETURNING CAST(team_id AS text) AS team_id, bytes > CAST(:most_bytes AS float8) AS is_above;
