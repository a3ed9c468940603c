-- Takes these alerts for a mail to their teams, which the caller writes in the same transaction.
UPDATE job_alerts SET pause_untold = false
WHERE id IN (SELECT id FROM job_alerts WHERE id = ANY (CAST(:keys AS uuid[])) AND pause_untold
             FOR NO KEY UPDATE SKIP LOCKED)
RETURNING CAST(team_id AS text) AS team_id, name, paused_why, deleted_at;
