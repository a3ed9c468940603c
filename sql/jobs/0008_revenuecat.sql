-- The RevenueCat sync remembers when it looked at a user, so that the next sync looks only at users who may have
-- changed. These rows go with the user and with the project, which only a foreign key can promise: the platform deletes
-- users without us. The check costs a lock at a user's first look; later looks do not change the key.

CREATE TABLE job_revenuecat_users (
    app_user_id       uuid PRIMARY KEY REFERENCES app_users (id) ON DELETE CASCADE,
    project_id        uuid NOT NULL,
    looked_at         timestamptz(3) NOT NULL,   -- when the sync last asked about this user, also without an answer
    period_ends_at    timestamptz(3),            -- the status may change then; null: no running subscription
    attribution_open  boolean NOT NULL,          -- RevenueCat may still learn the source; a "none" is the sync's own
    alias_of          text                       -- RevenueCat's customer, if the user's id is an alias of it
);
COMMENT ON TABLE job_revenuecat_users IS
    'The RevenueCat sync''s memory of each app user: when it looked, and when to look again. Deleted with the user.';
CREATE INDEX job_revenuecat_users_payers ON job_revenuecat_users (project_id, period_ends_at, app_user_id)
    WHERE period_ends_at IS NOT NULL;
COMMENT ON INDEX job_revenuecat_users_payers IS
    'An incremental sync walks the payers of a project, the nearest end of a period first.';
CREATE INDEX job_revenuecat_users_rotation ON job_revenuecat_users (project_id, looked_at, app_user_id);
COMMENT ON INDEX job_revenuecat_users_rotation IS
    'An incremental sync also looks at those users of a project at whom it has not looked for the longest time.';
CREATE INDEX job_revenuecat_users_aliases ON job_revenuecat_users (project_id, alias_of, app_user_id)
    WHERE alias_of IS NOT NULL;
COMMENT ON INDEX job_revenuecat_users_aliases IS
    'Two users may be aliases of one customer, whose revenue then counts once.';

CREATE TABLE job_revenuecat_projects (
    project_id          uuid PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    include_sandbox     boolean NOT NULL,
    revenuecat_project  text NOT NULL,           -- a sync of another project of RevenueCat has to be a full one
    synced_since        timestamptz(3)           -- when the last completed sync began; null: none is complete
);
COMMENT ON TABLE job_revenuecat_projects IS
    'The parameters of each project''s last RevenueCat sync. If one with these parameters is complete, the next sync may '
    'be incremental. A sync with other parameters overwrites the row.';

-- Returns what a project's integration is, and whether a job may write to the project now. read_with is the fingerprint
-- of the key and the config that the job's data was read with, null at the start. The writing statements call this, so
-- that the answer holds for what they write.
CREATE FUNCTION job_revenuecat_place(project uuid, read_with text)
RETURNS TABLE (state text, revenuecat_project text, secret_encrypted bytea, fingerprint text) LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN team.id IS NULL THEN 'deleted'
                WHEN integration.id IS NULL THEN 'removed'
                WHEN integration.config ->> 'enabled' = 'false' THEN 'disabled'
                WHEN print.fingerprint <> read_with THEN 'changed'
                ELSE 'open' END,
           integration.config ->> 'project_id', integration.secret_encrypted, print.fingerprint
    FROM (VALUES (project)) AS wanted (id)
    LEFT JOIN projects found ON found.id = wanted.id AND found.deleted_at IS NULL
    LEFT JOIN teams team ON team.id = found.team_id AND team.deleted_at IS NULL
    LEFT JOIN project_integrations integration
        ON integration.project_id = wanted.id AND integration.provider = 'revenuecat' AND integration.deleted_at IS NULL,
    LATERAL (SELECT encode(sha256(integration.secret_encrypted || convert_to(integration.config::text, 'UTF8')), 'hex')
            ) AS print (fingerprint)
$$;

-- Writes what RevenueCat said about a page of users, and that it was asked. Returns how many users share a customer.
-- * Attribution is written as a whole, and only if the user has none, or has the "none" of an earlier look that was
--   too early. An app may find attribution itself, which takes precedence.
-- * The revenue of a customer who has several app users here counts for the user with the customer's own id, otherwise
--   for the alias with the lowest id.
-- * An unchanged user gets no new version. Properties that are not an object are replaced: otherwise they would become
--   an array that grows with every sync.
-- Users without "properties" are unknown to RevenueCat; only the look is recorded.
CREATE FUNCTION job_revenuecat_write_page(project uuid, users jsonb) RETURNS integer LANGUAGE sql AS $$
    WITH given AS MATERIALIZED (
        SELECT u.id, given.attribution, given.properties, given.revenue_usd_cents, given.attribution_open, given.alias_of,
               to_timestamp(given.period_ends_at_ms / 1000.0) AS period_ends_at,
               CASE jsonb_typeof(u.properties) WHEN 'object' THEN u.properties ELSE '{}' END AS known,
               coalesce(look.attribution_open, false) AS was_open
        FROM jsonb_to_recordset(users)
            AS given (id uuid, attribution jsonb, properties jsonb, revenue_usd_cents bigint, period_ends_at_ms bigint,
                      attribution_open boolean, alias_of text)
        JOIN app_users u ON u.id = given.id AND u.project_id = project
        LEFT JOIN job_revenuecat_users look ON look.app_user_id = u.id
    ), owned AS MATERIALIZED (
        SELECT given.*,
               given.alias_of IS NOT NULL AND (
                   EXISTS (SELECT FROM app_users owner
                           WHERE owner.project_id = project AND owner.user_id = given.alias_of
                             AND NOT owner.is_anonymous AND owner.user_id NOT LIKE '$RCAnonymousID:%')
                   OR EXISTS (SELECT FROM job_revenuecat_users other
                              WHERE other.project_id = project AND other.alias_of = given.alias_of
                                AND other.app_user_id < given.id)
                   OR EXISTS (SELECT FROM given AS other
                              WHERE other.alias_of = given.alias_of AND other.id < given.id)) AS is_shared,
               CASE WHEN was_open AND known->>'attribution_source' = 'none'
                    THEN known - 'attribution_source' ELSE known END AS base
        FROM given
    ), wanted AS MATERIALIZED (
        SELECT owned.*,
               CASE WHEN base ?| '{attribution_source,asa_campaign_name,asa_ad_group_name,asa_ad_name,asa_keyword}'
                         OR attribution = '{}' THEN known ELSE base || attribution END
               || properties
               || CASE WHEN is_shared THEN '{"rc_total_revenue_usd": "0.00"}' ELSE '{}' END::jsonb AS new_properties,
               CASE WHEN is_shared THEN 0 ELSE revenue_usd_cents END AS new_cents
        FROM owned
    ), written AS (
        UPDATE app_users AS u
        SET properties = new_properties, total_revenue_usd_cents = new_cents, revenue_synced_at = clock_timestamp()
        FROM wanted
        WHERE u.id = wanted.id AND wanted.properties IS NOT NULL
          AND (u.properties, u.total_revenue_usd_cents) IS DISTINCT FROM (new_properties, new_cents)
    ), looked AS (
        INSERT INTO job_revenuecat_users AS look
            (app_user_id, project_id, looked_at, period_ends_at, attribution_open, alias_of)
        SELECT id, project, clock_timestamp(), period_ends_at, coalesce(attribution_open, false), alias_of FROM wanted
        ON CONFLICT (app_user_id) DO UPDATE
        SET looked_at = excluded.looked_at, period_ends_at = excluded.period_ends_at,
            attribution_open = excluded.attribution_open, alias_of = excluded.alias_of
    )
    SELECT count(*)::integer FROM wanted WHERE is_shared AND properties IS NOT NULL
$$;

-- The same. A page that Postgres refuses is written user by user: a trigger or a constraint of the platform may refuse
-- one of them. Returns {"shared": how many, "gone": [ids], "refused": {id: reason}}. Temporary errors are raised.
CREATE FUNCTION job_revenuecat_write(project uuid, users jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    passing  CONSTANT text := '^(08|40|53|55|57|58|XX)';
    shared   integer := 0;
    gone     jsonb;
    refused  jsonb := '{}';
    one      jsonb;
BEGIN
    BEGIN
        shared := job_revenuecat_write_page(project, users);
    EXCEPTION WHEN OTHERS THEN
        IF SQLSTATE ~ passing THEN
            RAISE;
        END IF;
        FOR one IN SELECT jsonb_array_elements(users) LOOP
            BEGIN
                shared := shared + job_revenuecat_write_page(project, jsonb_build_array(one));
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE ~ passing THEN
                    RAISE;
                END IF;
                refused := refused || jsonb_build_object(one->>'id', left(SQLERRM, 200));
            END;
        END LOOP;
    END;
    SELECT coalesce(jsonb_agg(given.id), '[]') INTO gone
    FROM jsonb_to_recordset(users) AS given (id uuid)
    WHERE NOT EXISTS (SELECT FROM app_users u WHERE u.id = given.id AND u.project_id = project);
    RETURN jsonb_build_object('shared', shared, 'gone', gone, 'refused', refused);
END $$;

-- Creates the users that are missing, for the backfill. If Postgres refuses them, each is created alone: a constraint of
-- the platform may refuse one of them. Returns {"made": how many, "refused": how many}. Temporary errors are raised, and
-- errors about rights and columns, which are those of every user.
CREATE FUNCTION job_revenuecat_insert(project uuid, user_ids text[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    every_user CONSTANT text := '^(08|40|42|53|55|57|58|XX)';
    made       integer;
BEGIN
    INSERT INTO app_users (project_id, user_id)
    SELECT project, given.user_id FROM unnest(user_ids) AS given (user_id)
    WHERE NOT EXISTS (SELECT FROM app_users u WHERE u.project_id = project AND u.user_id = given.user_id)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    RETURN jsonb_build_object('made', made, 'refused', 0);
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE ~ every_user THEN
        RAISE;
    ELSIF cardinality(user_ids) = 1 THEN
        RETURN jsonb_build_object('made', 0, 'refused', 1);
    END IF;
    RETURN (SELECT jsonb_build_object('made', sum((done->>'made')::integer), 'refused', sum((done->>'refused')::integer))
            FROM unnest(user_ids) AS one, LATERAL job_revenuecat_insert(project, ARRAY[one]) AS done);
END $$;

-- A platform may have revoked what PUBLIC may do by default. The rights on the tables are declared by the job.
GRANT EXECUTE ON FUNCTION job_revenuecat_place(uuid, text), job_revenuecat_write_page(uuid, jsonb),
    job_revenuecat_write(uuid, jsonb), job_revenuecat_insert(uuid, text[]) TO nightshift_worker;
