-- The soft-delete cleanup uses statements with the table name as a parameter, because a dozen tables are emptied in the
-- same way.

CREATE TABLE event_deletions (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    run_id      uuid NOT NULL,                    -- not a foreign key: this row outlives the run
    project_id  uuid NOT NULL,                    -- not a foreign key: the project is deleted
    event_table text NOT NULL,
    reason      text NOT NULL,
    cutoff      timestamptz NOT NULL,             -- resources soft-deleted before this time were due
    deleted     bigint NOT NULL CHECK (deleted > 0),
    created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (run_id, project_id, event_table, reason)
);
COMMENT ON TABLE event_deletions IS
    'The audit of deleted events: how many, of which project, from which table, and why.';
CREATE INDEX event_deletions_project ON event_deletions (project_id, created_at);
COMMENT ON INDEX event_deletions_project IS 'The audit of one project, in order of time.';

-- The condition under which a resource is considered on its own: nothing above it is soft-deleted. A parent that was
-- soft-deleted within seven days protects everything under it; after seven days it is deleted with everything under it.
-- $1 are ids to skip.
CREATE FUNCTION cleanup_is_on_its_own(resource text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE resource
        WHEN 'teams' THEN 'true'
        WHEN 'projects' THEN
            'EXISTS (SELECT FROM teams team
                     WHERE team.id = resource.team_id AND team.deleted_at IS NULL AND team.id <> ALL ($1))'
        WHEN 'api_keys' THEN
            'EXISTS (SELECT FROM teams team
                     WHERE team.id = resource.team_id AND team.deleted_at IS NULL AND team.id <> ALL ($1))
             AND (resource.app_id IS NULL OR EXISTS (
                     SELECT FROM apps app
                     JOIN projects project ON project.id = app.project_id
                     JOIN teams team ON team.id = project.team_id
                     WHERE app.id = resource.app_id AND app.deleted_at IS NULL AND project.deleted_at IS NULL
                       AND team.deleted_at IS NULL
                       AND app.id <> ALL ($1) AND project.id <> ALL ($1) AND team.id <> ALL ($1)))'
        ELSE
            'EXISTS (SELECT FROM projects project JOIN teams team ON team.id = project.team_id
                     WHERE project.id = resource.project_id AND project.deleted_at IS NULL AND team.deleted_at IS NULL
                       AND project.id <> ALL ($1) AND team.id <> ALL ($1))'
    END
$$;

-- A page of the due resources of one kind, by id.
CREATE FUNCTION cleanup_due(resource text, cutoff timestamptz, spared uuid[], after uuid, page integer)
RETURNS SETOF uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF to_regclass(quote_ident(resource)) IS NOT NULL THEN
        RETURN QUERY EXECUTE format(
            'SELECT id FROM %I AS resource
             WHERE deleted_at <= $2 AND ($3 IS NULL OR id > $3) AND id <> ALL ($1) AND %s
             ORDER BY id LIMIT $4', resource, cleanup_is_on_its_own(resource))
        USING spared, cutoff, after, page;
    END IF;
END $$;

-- Locks the resource and, if a resource under it is being deleted, the path to that: a project of this team, an app of
-- this project or of that one. Returns null if all are locked; otherwise the id of the topmost that is not: a resource
-- that is no longer due, or one that was moved away.
-- Sessions that restore or move a locked row wait for the end of the transaction. Not FOR UPDATE, so that sessions that
-- add rows under it do not have to wait.
CREATE FUNCTION cleanup_hold(resource text, id uuid, cutoff timestamptz, project uuid, app uuid) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    held uuid;
BEGIN
    -- A deferred foreign key of the platform would fail at COMMIT, where the job could not treat it as a refusal.
    SET CONSTRAINTS ALL IMMEDIATE;
    EXECUTE format('SELECT id FROM %I AS resource WHERE id = $3 AND deleted_at <= $2 AND %s FOR NO KEY UPDATE OF resource',
                   resource, cleanup_is_on_its_own(resource))
    INTO held USING CAST('{}' AS uuid[]), cutoff, id;
    IF held IS NULL THEN
        RETURN id;
    END IF;
    IF project IS NOT NULL THEN
        PERFORM FROM projects AS child WHERE child.id = project AND child.team_id = held FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN project;
        END IF;
        held := project;
    END IF;
    IF app IS NOT NULL THEN
        PERFORM FROM apps AS child WHERE child.id = app AND child.project_id = held FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN app;
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- The first and the last value of walk_column among the rows under a parent. They bound a walk, so that it ends even if
-- new rows keep arriving.
CREATE FUNCTION cleanup_extent(
    relation text, parent_column text, parent uuid, walk_column text, OUT first text, OUT last text
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF relation = 'job_runs' THEN
        -- The indexes of ended runs are in this order for each status.
        EXECUTE format(
            'SELECT min(first)::text, max(last)::text
             FROM unnest(ARRAY[''completed'', ''failed'', ''cancelled'']) AS ended (status),
                  LATERAL (SELECT created_at AS first FROM job_runs run
                           WHERE %1$I = $1 AND run.status = ended.status AND completed_at IS NOT NULL
                           ORDER BY created_at LIMIT 1) AS oldest,
                  LATERAL (SELECT created_at AS last FROM job_runs run
                           WHERE %1$I = $1 AND run.status = ended.status AND completed_at IS NOT NULL
                           ORDER BY created_at DESC LIMIT 1) AS newest', parent_column)
        INTO first, last USING parent;
    ELSIF to_regclass(quote_ident(relation)) IS NOT NULL THEN
        EXECUTE format(
            'SELECT (SELECT %2$I FROM %1$I WHERE %3$I = $1 ORDER BY %2$I LIMIT 1)::text,
                    (SELECT %2$I FROM %1$I WHERE %3$I = $1 ORDER BY %2$I DESC LIMIT 1)::text',
            relation, walk_column, parent_column)
        INTO first, last USING parent;
    END IF;
END $$;

-- The reason, as a clause, why a resource is kept after its DELETE failed. Null for errors that are temporary or not
-- specific to the resource (connection, deadlock, memory, lock, shutdown, disk, corruption): these must reach the run.
-- All other errors come from a foreign key, a trigger or a missing right of the platform, with arbitrary codes.
CREATE FUNCTION cleanup_refusal(code text, message text, referring text, what text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN code ~ '^(08|40|53|55|57|58|XX)' THEN NULL
        WHEN code IN ('23503', '23001') AND referring <> '' THEN format('%s refers to %s', referring, what)
        ELSE format('%s cannot go: %s', what, left(message, 200))
    END
$$;

-- Deletes the next rows under a parent, with walk_column from first to last. Returns their number and the value to
-- continue from, or null if no rows were left. If the platform refuses, nothing is deleted and in_the_way says why.
-- A walk does not read the dead rows of its earlier steps again, which an open snapshot elsewhere may keep for hours.
-- A step stays within one partition and has its bounds as constants, so that the planner prunes the other partitions
-- and ctids stay unambiguous. The order alone would not bound a step: a million events may have the same time.
CREATE FUNCTION cleanup_batch(
    relation text, parent_column text, parent uuid, walk_column text, first text, last text, batch integer,
    OUT deleted bigint, OUT reached text, OUT in_the_way text
) LANGUAGE plpgsql AS $$
DECLARE
    part       oid;
    places     tid[];
    lowest     text;
    referring  text;
BEGIN
    EXECUTE format(
        'WITH batch AS MATERIALIZED (
             SELECT tableoid AS part, ctid AS place, %2$I AS step FROM %1$I
             WHERE %3$I = $1 AND %2$I BETWEEN %4$L AND %5$L ORDER BY %2$I LIMIT $2
         )
         SELECT (SELECT part FROM batch LIMIT 1), array_agg(place),
                (array_agg(step))[1]::text, (array_agg(step))[count(*)]::text
         FROM batch WHERE part = (SELECT part FROM batch LIMIT 1)',
        relation, walk_column, parent_column, first, last)
    INTO part, places, lowest, reached USING parent, batch;
    deleted := 0;
    IF reached IS NOT NULL THEN
        EXECUTE format(
            'DELETE FROM %1$I WHERE %3$I = $1 AND %2$I BETWEEN %4$L AND %5$L AND tableoid = $2 AND ctid = ANY ($3)',
            relation, walk_column, parent_column, lowest, reached)
        USING parent, part, places;
        GET DIAGNOSTICS deleted = ROW_COUNT;
    END IF;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS referring = TABLE_NAME;
    in_the_way := cleanup_refusal(SQLSTATE, SQLERRM, referring, 'its ' || relation);
    IF in_the_way IS NULL THEN
        RAISE;
    END IF;
    deleted := 0;
END $$;

-- The same for the ended runs of a project or of a team (the other is null), oldest first, with their slices and mails.
-- One statement, so that foreign keys are checked after all three are deleted. It is planned with the values, of which
-- one is null.
CREATE FUNCTION cleanup_runs(
    project uuid, team uuid, first timestamptz, last timestamptz, batch integer,
    OUT deleted bigint, OUT reached text, OUT in_the_way text
) LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    referring text;
BEGIN
    WITH ended AS MATERIALIZED (
        SELECT run.*
        FROM unnest(ARRAY['completed', 'failed', 'cancelled']) AS each (status), LATERAL (
            SELECT id, created_at FROM job_runs
            WHERE (project IS NULL OR project_id = project) AND (team IS NULL OR team_id = team)
              AND status = each.status AND completed_at IS NOT NULL AND created_at BETWEEN first AND last
            ORDER BY created_at LIMIT batch) AS run
        ORDER BY created_at LIMIT batch
    ), mails AS (
        DELETE FROM job_outbox WHERE run_id IN (SELECT id FROM ended)
    ), slices AS (
        DELETE FROM job_slices WHERE run_id IN (SELECT id FROM ended)
    ), runs AS (
        DELETE FROM job_runs WHERE id IN (SELECT id FROM ended) RETURNING id
    )
    SELECT (SELECT count(*) FROM runs), CAST(max(created_at) AS text) INTO deleted, reached FROM ended;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS referring = TABLE_NAME;
    in_the_way := cleanup_refusal(SQLSTATE, SQLERRM, referring, 'its job_runs');
    IF in_the_way IS NULL THEN
        RAISE;
    END IF;
    deleted := 0;
END $$;

-- Deletes one locked resource, if no row refers to it. Returns null, or the obstacle: a table with new rows, a table
-- that the cleanup does not know, a refusal of the platform, or a lock of another session.
CREATE FUNCTION cleanup_resource(resource text, id uuid) RETURNS text LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
DECLARE
    deleted     bigint;
    referring   text;
    in_the_way  text;
BEGIN
    -- Runs have no foreign key to these two. The halves are two conditions, because an index holds only one of them.
    IF resource = 'projects' AND (EXISTS (SELECT FROM job_runs run WHERE project_id = cleanup_resource.id
                                          AND completed_at IS NULL)
                                  OR EXISTS (SELECT FROM job_runs run WHERE project_id = cleanup_resource.id
                                             AND completed_at IS NOT NULL))
       OR resource = 'teams' AND (EXISTS (SELECT FROM job_runs run WHERE team_id = cleanup_resource.id
                                          AND completed_at IS NULL)
                                  OR EXISTS (SELECT FROM job_runs run WHERE team_id = cleanup_resource.id
                                             AND completed_at IS NOT NULL)) THEN
        RETURN 'job_runs refers to it';
    END IF;
    EXECUTE format('DELETE FROM %I AS resource WHERE resource.id = $1', resource) USING id;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    IF deleted = 0 THEN
        RETURN 'a trigger keeps it';
    END IF;
    RETURN NULL;
EXCEPTION
    WHEN lock_not_available THEN
        RETURN 'somebody holds a lock on it';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS referring = TABLE_NAME;
        in_the_way := cleanup_refusal(SQLSTATE, SQLERRM, referring, 'it');
        IF in_the_way IS NULL THEN
            RAISE;
        END IF;
        RETURN in_the_way;
END $$;

-- An estimate of the rows to delete, without the barred tables. Small tables are counted; for large ones, statistics
-- are used.
CREATE FUNCTION cleanup_estimate(cutoff timestamptz, barred text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    quick         CONSTANT integer := 100000;
    due_teams     uuid[] := ARRAY(SELECT id FROM teams WHERE deleted_at <= cutoff);
    due_projects  uuid[] := ARRAY(
        SELECT id FROM projects WHERE team_id = ANY (due_teams)
        UNION ALL SELECT cleanup_due('projects', cutoff, '{}', NULL, NULL));
    due_apps      uuid[] := ARRAY(
        SELECT id FROM apps WHERE project_id = ANY (due_projects)
        UNION ALL SELECT cleanup_due('apps', cutoff, '{}', NULL, NULL));
    estimate      bigint := cardinality(due_teams) + cardinality(due_projects) + cardinality(due_apps);
    branch        record;
    counted       bigint;
    plan          json;
BEGIN
    FOR branch IN
        SELECT relation, parent_column, parents,
               CASE relation WHEN 'job_runs' THEN ' AND completed_at IS NOT NULL' ELSE '' END AS also
        FROM (VALUES ('app_id', due_apps, '{events, metric_events, funnel_events, api_keys}'::text[]),
                     ('project_id', due_projects,
                      '{metric_definitions, funnel_definitions, project_integrations, app_users, job_runs}'),
                     ('team_id', due_teams, '{api_keys, team_members}')) AS under (parent_column, parents, relations),
             LATERAL unnest(relations) AS relation
        WHERE to_regclass(relation) IS NOT NULL AND relation <> ALL (barred)
    LOOP
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %I WHERE %I = ANY ($1)%s LIMIT $2) AS found',
                       branch.relation, branch.parent_column, branch.also)
        INTO counted USING branch.parents, quick;
        IF counted = quick THEN
            EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM %I WHERE %I = ANY (%L::uuid[])%s',
                           branch.relation, branch.parent_column, branch.parents, branch.also)
            INTO plan;
            counted := greatest(counted, (plan->0->'Plan'->>'Plan Rows')::bigint);
        END IF;
        estimate := estimate + counted;
    END LOOP;
    RETURN estimate + (
        SELECT count(*)
        FROM unnest('{api_keys, metric_definitions, funnel_definitions, project_integrations}'::text[]) AS leaf,
             LATERAL cleanup_due(leaf, cutoff, '{}', NULL, NULL)
        WHERE leaf <> ALL (barred));
END $$;
