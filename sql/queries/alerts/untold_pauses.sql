-- Alerts that were paused because of their endpoint, and whose team does not know it yet.
SELECT CAST(id AS text) AS key FROM job_alerts WHERE pause_untold ORDER BY paused_at LIMIT CAST(:at_most AS integer);
