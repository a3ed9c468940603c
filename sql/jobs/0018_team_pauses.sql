CREATE TABLE job_project_pauses (
    project_id  uuid NOT NULL,                    -- not a foreign key, as in job_runs; the team is the project's
    job_type    text NOT NULL,
    paused_by   text NOT NULL,                    -- as in job_runs.triggered_by
    why         text NOT NULL,
    paused_at   timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    until       timestamptz(3),                   -- from then on the row counts for nothing; null: until it is resumed
    PRIMARY KEY (project_id, job_type)
);
COMMENT ON TABLE job_project_pauses IS
    'The pauses of teams: of a job type for one project. The operator''s pauses are in job_pauses and stand above them.';

INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_api', 'job_project_pauses', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('nightshift_sweep', 'job_project_pauses', '{SELECT}'),
    ('nightshift_operate', 'job_project_pauses', '{SELECT}'),
    ('nightshift_maintenance', 'job_project_pauses', '{SELECT,DELETE}');
SELECT grant_job_rights();
