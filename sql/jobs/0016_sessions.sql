-- People sign in with a code that is mailed to them, or with a link that the operator makes. Both lead to a session.
CREATE TABLE job_sign_ins (
    id            uuid PRIMARY KEY,
    secret_hash   bytea NOT NULL,                 -- of a code, its HMAC; of a link's secret, its SHA-256
    browser_hash  bytea,                          -- SHA-256 of the value that only the asking browser has; null: a link
    address       text,                           -- as typed, known or not; null: a link
    source        text,                           -- the network that asked, an IPv4 address or a /64; null: a link
    browser       text,                           -- in our words, like "Chrome on Linux"; null: a link
    user_id       uuid,                           -- of a code, set when it is mailed: until then, no person has it
    tries         integer NOT NULL DEFAULT 0,
    asked_at      timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    expires_at    timestamptz NOT NULL DEFAULT clock_timestamp() + interval '10 minutes',
    ended_at      timestamptz,                    -- used, or replaced by a newer code for the same browser
    CONSTRAINT is_a_code_or_a_link CHECK (num_nonnulls(browser_hash, address, source, browser) IN (0, 4)),
    CONSTRAINT link_has_a_person CHECK (browser_hash IS NOT NULL OR user_id IS NOT NULL),
    CONSTRAINT tries_have_an_end CHECK (tries <= 5)
);
COMMENT ON TABLE job_sign_ins IS
    'Codes that people asked for, also with unknown addresses, and the operator''s links. Valid for ten minutes.';
CREATE INDEX job_sign_ins_expired ON job_sign_ins (expires_at);
COMMENT ON INDEX job_sign_ins_expired IS 'The sweep deletes what has expired.';

CREATE TABLE job_sign_in_shares (
    key       text PRIMARY KEY,                   -- "source <network>", "user <id>" or "all"
    taken_at  timestamptz[] NOT NULL,             -- the codes of the last hour, newest first
    free_at   timestamptz NOT NULL                -- an hour after the newest: the row is not needed any longer
);
COMMENT ON TABLE job_sign_in_shares IS
    'The codes of the last hour: requests of each network, mails to each person, and mails to all people together.';
CREATE INDEX job_sign_in_shares_free ON job_sign_in_shares (free_at);
COMMENT ON INDEX job_sign_in_shares_free IS 'The sweep deletes what is not needed any longer.';

-- Takes one of the key's places of the last hour, and returns true; null if at_most are taken. The key's row is locked, so
-- that two do not take the same place.
CREATE FUNCTION take_sign_in_share(wanted text, at_most integer) RETURNS boolean LANGUAGE sql AS $$
    INSERT INTO job_sign_in_shares AS share (key, taken_at, free_at)
    SELECT wanted, ARRAY[clock_timestamp()], clock_timestamp() + interval '1 hour' WHERE at_most > 0
    ON CONFLICT (key) DO UPDATE
    SET taken_at = clock_timestamp()
        || ARRAY(SELECT code FROM unnest(share.taken_at) AS code WHERE code > clock_timestamp() - interval '1 hour'),
        free_at = clock_timestamp() + interval '1 hour'
    WHERE at_most > (
        SELECT count(*) FROM unnest(share.taken_at) AS code WHERE code > clock_timestamp() - interval '1 hour')
    RETURNING true
$$;

CREATE TABLE job_sessions (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id       uuid NOT NULL,                  -- not a foreign key; each request looks for the person and their teams
    token_hash    bytea NOT NULL UNIQUE,          -- SHA-256 of a random token of 256 bits
    is_cookie     boolean NOT NULL,               -- false: a bearer token, of the command line
    signed_in_by  text NOT NULL CHECK (signed_in_by IN ('code', 'link')),
    source        text NOT NULL,                  -- as in job_sign_ins, of the sign-in
    browser       text NOT NULL,
    created_at    timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    last_used_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),     -- within some minutes
    ends_at       timestamptz NOT NULL            -- 12 hours after its last use, and at most 30 days after its start
                  DEFAULT clock_timestamp() + interval '12 hours',
    CONSTRAINT ends_within_30_days CHECK (ends_at <= created_at + interval '30 days')
);
COMMENT ON TABLE job_sessions IS 'The sessions of people who are signed in. The row of an ended session is deleted.';
CREATE INDEX job_sessions_user ON job_sessions (user_id);
COMMENT ON INDEX job_sessions_user IS 'A person lists and ends their sessions.';
CREATE INDEX job_sessions_ended ON job_sessions (ends_at);
COMMENT ON INDEX job_sessions_ended IS 'The sweep deletes what has ended.';

INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_api', 'job_sign_ins', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_api', 'job_sign_in_shares', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_api', 'job_sessions', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('nightshift_notify', 'job_sign_ins', '{SELECT,"UPDATE (user_id)"}'),
    ('nightshift_notify', 'job_sign_in_shares', '{SELECT,INSERT,UPDATE}'),
    ('nightshift_notify', 'users', '{"SELECT (id, email, deleted_at)"}'),
    ('nightshift_sweep', 'job_sign_ins', '{SELECT,DELETE}'),
    ('nightshift_sweep', 'job_sign_in_shares', '{SELECT,DELETE}'),
    ('nightshift_sweep', 'job_sessions', '{SELECT,DELETE}'),
    ('nightshift_setup', 'job_sign_ins', '{"SELECT (user_id)",INSERT}');
SELECT grant_job_rights();
GRANT EXECUTE ON FUNCTION take_sign_in_share(text, integer) TO nightshift_api, nightshift_notify;
