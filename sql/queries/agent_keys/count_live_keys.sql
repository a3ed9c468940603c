SELECT count(*) AS live FROM api_keys
WHERE team_id = CAST(:team_id AS uuid) AND key_type = 'agent' AND deleted_at IS NULL
  AND (expires_at IS NULL OR expires_at > clock_timestamp());
