-- Who changed what, beside the runs: those say themselves who started and cancelled them.
CREATE TABLE job_audit_entries (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    occurred_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    team_id       uuid,                           -- null: an act of the operator on the whole system
    actor         text NOT NULL CHECK (actor ~ '^(user|api_key|operator):'),
    action        text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),     -- like integration.stored
    subject_type  text NOT NULL,
    subject_id    text NOT NULL,
    details       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
    request_id    text NOT NULL                   -- of the Lambda invocation, whose log lines carry it
);
COMMENT ON TABLE job_audit_entries IS
    'The changes that people, keys and the operator made. Written with the change, kept for a year, without secrets.';
CREATE INDEX job_audit_entries_team ON job_audit_entries (team_id, occurred_at, id);
COMMENT ON INDEX job_audit_entries_team IS 'The list of a team''s entries.';
CREATE INDEX job_audit_entries_age ON job_audit_entries (occurred_at, id);
COMMENT ON INDEX job_audit_entries_age IS 'The operator''s list, and the retention.';

INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_api', 'job_audit_entries', '{SELECT,INSERT}'),
    ('nightshift_operate', 'job_audit_entries', '{SELECT,INSERT}'),
    ('nightshift_setup', 'job_audit_entries', '{INSERT}'),
    ('nightshift_sweep', 'job_audit_entries', '{SELECT,DELETE}');
SELECT grant_job_rights();
