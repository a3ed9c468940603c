-- The mails of a team's alerts are handed to the outbox when the team has a share for them, and not before.
CREATE INDEX job_outbox_waiting ON job_outbox (team_id) WHERE team_id IS NOT NULL AND status = 'unsent' AND attempts = 0;
COMMENT ON INDEX job_outbox_waiting IS 'The mails of a team''s alerts that wait: until they are sent, no others follow.';

-- An address that does not confirm is asked again after a day, after two more, and so on.
ALTER TABLE job_alert_addresses ADD COLUMN asks integer NOT NULL DEFAULT 1;
CREATE INDEX job_alert_addresses_address ON job_alert_addresses (address, asked_at);
COMMENT ON INDEX job_alert_addresses_address IS 'How many teams have asked an address within a day.';

-- The notify function asks again whether an alert still has the recipient, just before it sends.
INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_notify', 'job_alerts', '{"SELECT (id, team_id, config, deleted_at)"}'),
    ('nightshift_notify', 'team_members', '{SELECT}');
SELECT grant_job_rights();
