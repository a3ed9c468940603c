-- Gives an address that has not been confirmed, and that an alert of the team still names, the token of the mail that is
-- about to be sent. An earlier one ends.
UPDATE job_alert_addresses AS asked SET token_hash = CAST(:token_hash AS bytea)
WHERE team_id = CAST(:team_id AS uuid) AND address = CAST(:address AS text) AND confirmed_at IS NULL
  AND EXISTS (SELECT FROM job_alerts alert
              WHERE alert.team_id = asked.team_id AND alert.deleted_at IS NULL
                AND alert.config -> 'addresses' ? asked.address)
RETURNING address;
