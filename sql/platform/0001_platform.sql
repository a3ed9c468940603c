-- The platform whose jobs Nightshift runs: people, teams, projects and their events and metrics.
-- Only for a database without a platform; an existing platform keeps its own tables.
-- Soft delete: a row with deleted_at is invisible to everyone, and is hard-deleted seven days later.

CREATE TABLE users (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email       text NOT NULL,
    name        text NOT NULL DEFAULT '',
    created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz(3)
);
CREATE UNIQUE INDEX users_email ON users (lower(email)) WHERE deleted_at IS NULL;

CREATE TABLE teams (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name        text NOT NULL,
    slug        text NOT NULL,
    created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz(3)
);
CREATE UNIQUE INDEX teams_slug ON teams (slug) WHERE deleted_at IS NULL;
CREATE INDEX teams_deleted ON teams (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE team_members (
    team_id     uuid NOT NULL REFERENCES teams,
    user_id     uuid NOT NULL REFERENCES users,
    role        text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_user ON team_members (user_id);

CREATE TABLE projects (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id     uuid NOT NULL REFERENCES teams,
    name        text NOT NULL,
    slug        text NOT NULL,
    color       text NOT NULL DEFAULT '#6366f1',
    created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz(3)
);
CREATE UNIQUE INDEX projects_slug ON projects (team_id, slug) WHERE deleted_at IS NULL;
CREATE INDEX projects_team ON projects (team_id);
CREATE INDEX projects_in_order ON projects (team_id, left(name, 200), id) WHERE deleted_at IS NULL;
CREATE INDEX projects_deleted ON projects (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE apps (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id  uuid NOT NULL REFERENCES projects,
    name        text NOT NULL,
    platform    text NOT NULL DEFAULT 'ios',
    bundle_id   text,
    created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz(3)
);
CREATE INDEX apps_project ON apps (project_id);
CREATE INDEX apps_deleted ON apps (deleted_at) WHERE deleted_at IS NOT NULL;

-- Only the SHA-256 of a key is stored; the key itself is shown once, when it is created.
CREATE TABLE api_keys (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id      uuid NOT NULL REFERENCES teams,
    app_id       uuid REFERENCES apps,              -- a client key belongs to an app, an agent key to the team
    created_by   uuid REFERENCES users,
    key_type     text NOT NULL CHECK (key_type IN ('agent', 'client')),
    name         text NOT NULL DEFAULT '',
    key_hash     bytea NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    key_prefix   text NOT NULL,                     -- identifies the key in a list, but cannot be used as one
    permissions  text[] NOT NULL DEFAULT '{}',
    expires_at   timestamptz(3),
    created_at   timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    deleted_at   timestamptz(3)
);
CREATE INDEX api_keys_team ON api_keys (team_id);
CREATE INDEX api_keys_app ON api_keys (app_id);
CREATE INDEX api_keys_created_by ON api_keys (created_by);
CREATE INDEX api_keys_deleted ON api_keys (deleted_at) WHERE deleted_at IS NOT NULL;

-- A provider's secret, encrypted by KMS with the project as encryption context: it cannot be decrypted in another row.
CREATE TABLE project_integrations (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id        uuid NOT NULL REFERENCES projects,
    provider          text NOT NULL,
    config            jsonb NOT NULL DEFAULT '{}',
    secret_encrypted  bytea NOT NULL,
    created_at        timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    updated_at        timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    deleted_at        timestamptz(3)
);
CREATE UNIQUE INDEX project_integrations_provider ON project_integrations (project_id, provider) WHERE deleted_at IS NULL;
CREATE INDEX project_integrations_project ON project_integrations (project_id);
CREATE INDEX project_integrations_deleted ON project_integrations (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE app_users (
    id                       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id               uuid NOT NULL REFERENCES projects,
    user_id                  text NOT NULL CHECK (user_id <> ''),   -- the app's id of this person
    is_anonymous             boolean NOT NULL DEFAULT false,
    properties               jsonb NOT NULL DEFAULT '{}',
    total_revenue_usd_cents  bigint,
    revenue_synced_at        timestamptz(3),                        -- when a sync last changed this row
    first_seen_at            timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    last_seen_at             timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX app_users_user ON app_users (project_id, user_id);
CREATE INDEX app_users_walk ON app_users (project_id, id);          -- a sync reads users in this order

CREATE TABLE metric_definitions (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id  uuid NOT NULL REFERENCES projects,
    name        text NOT NULL,
    slug        text NOT NULL,
    created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz(3)
);
CREATE INDEX metric_definitions_project ON metric_definitions (project_id);
CREATE INDEX metric_definitions_deleted ON metric_definitions (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE funnel_definitions (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id  uuid NOT NULL REFERENCES projects,
    name        text NOT NULL,
    slug        text NOT NULL,
    steps       jsonb NOT NULL DEFAULT '[]',
    created_at  timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz(3)
);
CREATE INDEX funnel_definitions_project ON funnel_definitions (project_id);
CREATE INDEX funnel_definitions_deleted ON funnel_definitions (deleted_at) WHERE deleted_at IS NOT NULL;

-- Events arrive too fast for foreign keys: the cleanup job deletes the events of deleted apps instead. There is also no
-- DEFAULT partition, because DETACH PARTITION CONCURRENTLY refuses a table that has one.
CREATE TABLE events (
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    app_id       uuid NOT NULL,
    user_id      text,
    session_id   uuid,
    level        text NOT NULL DEFAULT 'info',
    message      text NOT NULL,
    attributes   jsonb,
    "timestamp"  timestamptz NOT NULL,
    PRIMARY KEY (id, "timestamp")
) PARTITION BY RANGE ("timestamp");
CREATE INDEX events_app ON events (app_id, "timestamp");

CREATE TABLE metric_events (
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    app_id       uuid NOT NULL,
    user_id      text,
    metric_slug  text NOT NULL,
    phase        text NOT NULL,
    duration_ms  integer,
    attributes   jsonb,
    "timestamp"  timestamptz NOT NULL,
    PRIMARY KEY (id, "timestamp")
) PARTITION BY RANGE ("timestamp");
CREATE INDEX metric_events_app ON metric_events (app_id, "timestamp");

CREATE TABLE funnel_events (
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    app_id       uuid NOT NULL,
    user_id      text,
    step_name    text NOT NULL,
    attributes   jsonb,
    "timestamp"  timestamptz NOT NULL,
    PRIMARY KEY (id, "timestamp")
) PARTITION BY RANGE ("timestamp");
CREATE INDEX funnel_events_app ON funnel_events (app_id, "timestamp");
