-- The demo's data besides its team and project: a member without a manager's rights, two apps, and their users.
-- Every start runs this script; it only adds missing rows.

INSERT INTO users (email, name) VALUES ('member@demo.test', 'Milo Member')
ON CONFLICT (lower(email)) WHERE deleted_at IS NULL DO NOTHING;

INSERT INTO team_members (team_id, user_id, role)
SELECT team.id, person.id, 'member' FROM teams team, users person
WHERE team.slug = 'demo' AND team.deleted_at IS NULL AND person.email = 'member@demo.test' AND person.deleted_at IS NULL
ON CONFLICT DO NOTHING;

INSERT INTO apps (project_id, name, platform, bundle_id)
SELECT project.id, app.name, app.platform, app.bundle_id
FROM projects project JOIN teams team ON team.id = project.team_id,
     (VALUES ('Demo for iOS', 'ios', 'test.demo.ios'), ('Demo for Android', 'android', 'test.demo.android'))
        AS app (name, platform, bundle_id)
WHERE team.slug = 'demo' AND team.deleted_at IS NULL AND project.slug = 'demo' AND project.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM apps there WHERE there.project_id = project.id AND there.bundle_id = app.bundle_id);

-- A thousand app users, seen within the last sixty days. Every twentieth has never signed in; the sync does not ask
-- RevenueCat about those.
INSERT INTO app_users (project_id, user_id, is_anonymous, last_seen_at)
SELECT project.id, to_char(n, CASE WHEN n % 20 = 0 THEN '"anon_"FM000000' ELSE '"user_"FM000000' END), n % 20 = 0,
       now() - make_interval(days => n % 60)
FROM projects project JOIN teams team ON team.id = project.team_id, generate_series(1, 1000) AS n
WHERE team.slug = 'demo' AND team.deleted_at IS NULL AND project.slug = 'demo' AND project.deleted_at IS NULL
ON CONFLICT (project_id, user_id) DO NOTHING;
