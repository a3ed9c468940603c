-- The agent keys that the sweep looks at now: each once a day, and a week before it expires.
SELECT CAST(key_id AS text) AS key FROM job_agent_keys
WHERE look_at <= statement_timestamp()
ORDER BY look_at LIMIT CAST(:at_most AS integer);
