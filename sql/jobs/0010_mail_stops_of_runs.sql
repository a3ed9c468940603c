-- The API tells a team that its mails are stopped. It does not read what the mail server said, which can hold an address.
INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_api', 'job_mail_stops', '{"SELECT (address, reason, stopped_at)"}');
SELECT grant_job_rights();
