-- The ended runs of each project, type and day, for the overview. The sweep counts each ending once: it has counted all
-- endings until job_sweep.counted_until, and the overview reads the later ones from job_runs.
CREATE TABLE job_days (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    team_id     uuid,                             -- the team of the runs; null: a system job. Not a foreign key, as in
    project_id  uuid,                             -- job_runs
    job_type    text NOT NULL,
    day         date NOT NULL,                    -- in UTC, of the ending
    completed   integer NOT NULL,
    failed      integer NOT NULL,
    cancelled   integer NOT NULL,
    took        jsonb NOT NULL,                   -- {bucket: runs}: how long completed runs took
    waited      jsonb NOT NULL,                   -- {bucket: runs}: from the trigger to the first claim
    CONSTRAINT scope_is_whole CHECK ((team_id IS NULL) = (project_id IS NULL)),
    CONSTRAINT counts_runs CHECK (least(completed, failed, cancelled) >= 0 AND completed + failed + cancelled > 0)
);
COMMENT ON TABLE job_days IS
    'Counts of ended runs by project, type and day, with histograms of durations. Kept for 30 days.';
CREATE UNIQUE INDEX job_days_once ON job_days (project_id, day, job_type, team_id) NULLS NOT DISTINCT;
COMMENT ON INDEX job_days_once IS 'The sweep adds to a row; the soft-delete cleanup walks a project''s days.';
CREATE INDEX job_days_team ON job_days (team_id, day);
COMMENT ON INDEX job_days_team IS 'The overview of a team, and that of system jobs.';
CREATE INDEX job_days_age ON job_days (day);
COMMENT ON INDEX job_days_age IS 'Retention finds the oldest days, and the operator''s overview the newest.';

-- The histories of installations that are updated are counted as well, as far as the overview shows them.
ALTER TABLE job_sweep ADD COLUMN counted_until timestamptz NOT NULL
    DEFAULT date_trunc('day', clock_timestamp(), 'UTC') - interval '13 days';

-- A bucket is a quarter of a doubling: bucket b holds the lengths from 2^(b/4) up to 2^((b+1)/4) milliseconds. The
-- middle of a bucket is at most 9 % away from each length in it.
CREATE VIEW job_endings AS
SELECT id, team_id, project_id, job_type, status, completed_at,
       CAST(completed_at AT TIME ZONE 'UTC' AS date) AS day,
       CASE WHEN status = 'completed' THEN
           CAST(floor(4 * ln(greatest(CAST(extract(epoch FROM completed_at - started_at) AS float8) * 1000, 1))
                      / ln(CAST(2 AS float8))) AS integer)
       END AS took,
       CAST(floor(4 * ln(greatest(CAST(extract(epoch FROM started_at - created_at) AS float8) * 1000, 1))
                  / ln(CAST(2 AS float8))) AS integer) AS waited
FROM job_runs WHERE completed_at IS NOT NULL;
COMMENT ON VIEW job_endings IS 'Ended runs as the overview counts them, with the buckets of their lengths.';

INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_api', 'job_days', '{SELECT}'),
    ('nightshift_api', 'job_sweep', '{SELECT}'),
    ('nightshift_api', 'job_endings', '{SELECT}'),
    ('nightshift_sweep', 'job_days', '{SELECT,INSERT,UPDATE,DELETE}'),
    ('nightshift_sweep', 'job_endings', '{SELECT}'),
    ('nightshift_maintenance', 'job_days', '{SELECT,DELETE}'),
    ('nightshift_operate', 'job_days', '{SELECT}'),
    ('nightshift_operate', 'job_endings', '{SELECT}');
SELECT grant_job_rights();
