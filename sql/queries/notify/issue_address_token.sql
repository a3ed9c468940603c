-- Gives an address that has not been confirmed the token of the mail that is about to be sent. An earlier one ends.
UPDATE job_alert_addresses SET token_hash = CAST(:token_hash AS bytea)
WHERE team_id = CAST(:team_id AS uuid) AND address = CAST(:address AS text) AND confirmed_at IS NULL
RETURNING address;
