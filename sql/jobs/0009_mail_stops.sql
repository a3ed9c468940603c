CREATE TABLE job_mail_stops (
    address     text PRIMARY KEY CHECK (address = lower(address)),
    reason      text NOT NULL CHECK (reason IN ('bounce', 'complaint')),
    detail      text,                             -- the words of the server that refused the mail, if SES has any
    stopped_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE job_mail_stops IS
    'Addresses that get no mail: one to them bounced for good, or its reader called it spam. The operator lifts a stop.';

INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_notify', 'job_mail_stops', '{SELECT,INSERT}'),
    ('nightshift_operate', 'job_mail_stops', '{SELECT,DELETE}');
SELECT grant_job_rights();
