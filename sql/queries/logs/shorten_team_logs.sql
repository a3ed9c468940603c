-- Adds up what a team stores. If it is above the limit, deletes its oldest lines down to nine tenths of the limit, so
-- that the sweep need not do so for each of the next runs. Of two sweeps at once, one finds no rows left.
WITH sized AS (
    SELECT run_id, last_line, sum(bytes) OVER newest_first AS from_newest, sum(bytes) OVER () AS total
    FROM job_run_logs WHERE team_id = CAST(:team_id AS uuid)
    WINDOW newest_first AS (ORDER BY written_at DESC, run_id, last_line DESC)
), kept AS (
    SELECT run_id, last_line, from_newest,
           total <= CAST(:most_bytes AS float8) OR from_newest <= 0.9 * CAST(:most_bytes AS float8) AS stays
    FROM sized
), gone AS (
    DELETE FROM job_run_logs AS log USING kept
    WHERE log.run_id = kept.run_id AND log.last_line = kept.last_line AND NOT stays
    RETURNING 1
), counted AS (
    UPDATE job_log_shares
    SET bytes = coalesce((SELECT max(from_newest) FROM kept WHERE stays), 0)
    WHERE team_id = CAST(:team_id AS uuid)
)
SELECT count(*) AS deleted FROM gone;
