-- The role the functions connect as: it reads and writes rows and owns nothing.
-- Its limits live here and not in SET statements, because a connection proxy pins a session that uses SET.
DO $$ BEGIN
    CREATE ROLE nightshift_app LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;   -- another database of this server has it already
END $$;
DO $$ BEGIN
    GRANT rds_iam TO nightshift_app;       -- on RDS: sign in with an IAM token instead of a password
EXCEPTION WHEN undefined_object THEN NULL;
END $$;

ALTER ROLE nightshift_app SET statement_timeout = '30s';
ALTER ROLE nightshift_app SET lock_timeout = '5s';
-- A frozen Lambda may hold a run's row lock. Without this the sweep could never take the run from it.
ALTER ROLE nightshift_app SET idle_in_transaction_session_timeout = '10s';
-- What a function has given up on, or died at, is not worth its locks and its work.
DO $$ BEGIN
    ALTER ROLE nightshift_app SET client_connection_check_interval = '2s';
EXCEPTION WHEN invalid_parameter_value THEN NULL;   -- a developer's system may not tell the server
END $$;
ALTER ROLE nightshift_app SET timezone = 'UTC';
-- Optional filters fold away only when a statement is planned with its values.
ALTER ROLE nightshift_app SET plan_cache_mode = 'force_custom_plan';

GRANT SELECT ON users, teams, team_members, projects, apps, api_keys, project_integrations TO nightshift_app;
GRANT SELECT, UPDATE ON app_users TO nightshift_app;
GRANT SELECT, INSERT, UPDATE ON job_runs, job_slices TO nightshift_app;
