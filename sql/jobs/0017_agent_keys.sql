-- Teams make their own agent keys. A key is a row of the platform's api_keys; this table holds what Nightshift knows
-- beside it. A key that the platform made has a row from its first use on.
CREATE TABLE job_agent_keys (
    key_id        uuid PRIMARY KEY,               -- not a foreign key, as in job_runs; the sweep deletes rows without a key
    made_by       text CHECK (made_by ~ '^(user|api_key|operator):'),     -- null: the platform, or an earlier release
    last_used_at  timestamptz(0),                 -- written at most once an hour
    replaced_by   uuid,                           -- the key that a rotation made instead
    told_of       timestamptz,                    -- the expiry that the team's admins know of: they get one mail
    look_at       timestamptz NOT NULL            -- when the sweep looks at the key again
                  DEFAULT clock_timestamp()
);
COMMENT ON TABLE job_agent_keys IS 'The maker of each agent key, its last use, and the expiry of which its team was told.';
CREATE INDEX job_agent_keys_look ON job_agent_keys (look_at);
COMMENT ON INDEX job_agent_keys_look IS 'The sweep finds keys that may expire soon, or are gone.';

-- The API makes keys, and shortens or ends their life. It cannot change a key's hash or its permissions.
UPDATE job_rights
SET privileges = '{SELECT,
                   "INSERT (team_id, created_by, key_type, name, key_hash, key_prefix, permissions, expires_at)",
                   "UPDATE (expires_at, deleted_at)"}'
WHERE role = 'nightshift_api' AND table_name = 'api_keys' AND declared_by = '';
UPDATE job_rights
SET privileges = '{"SELECT (id, team_id, created_by, name, key_prefix, expires_at, deleted_at)"}'
WHERE role = 'nightshift_sweep' AND table_name = 'api_keys' AND declared_by = '';
INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_api', 'job_agent_keys', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_setup', 'job_agent_keys', '{INSERT}'),
    ('nightshift_sweep', 'job_agent_keys', '{SELECT,UPDATE,DELETE}');
SELECT grant_job_rights();
