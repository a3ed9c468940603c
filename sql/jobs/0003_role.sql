-- The role that the functions connect as. It reads and writes rows and owns nothing.
-- Its time limits are set here and not by SET statements, because a connection proxy pins a session that uses SET.
DO $$ BEGIN
    CREATE ROLE nightshift_app LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;   -- another database of this server already created it
END $$;
DO $$ BEGIN
    GRANT rds_iam TO nightshift_app;       -- on RDS: sign in with an IAM token instead of a password
EXCEPTION WHEN undefined_object THEN NULL;
END $$;

ALTER ROLE nightshift_app SET statement_timeout = '30s';
ALTER ROLE nightshift_app SET lock_timeout = '5s';
-- A frozen Lambda may hold the lock of a run's row. Without this limit, the sweep could never take over the run.
ALTER ROLE nightshift_app SET idle_in_transaction_session_timeout = '10s';
-- A statement whose function gave up or died must not keep its locks and use up the server.
DO $$ BEGIN
    ALTER ROLE nightshift_app SET client_connection_check_interval = '2s';
EXCEPTION WHEN invalid_parameter_value THEN NULL;   -- not supported on every operating system
END $$;
ALTER ROLE nightshift_app SET timezone = 'UTC';
-- Optional filters only fold away if a statement is planned with its values.
ALTER ROLE nightshift_app SET plan_cache_mode = 'force_custom_plan';

GRANT SELECT ON users, teams, team_members, projects, apps, api_keys, project_integrations TO nightshift_app;
GRANT SELECT, UPDATE ON app_users TO nightshift_app;
GRANT SELECT, INSERT, UPDATE ON job_runs, job_slices TO nightshift_app;
