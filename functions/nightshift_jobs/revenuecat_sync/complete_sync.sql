-- Records a complete sync, and returns how old the oldest look is that its users' data comes from.
INSERT INTO job_revenuecat_projects AS last (project_id, include_sandbox, revenuecat_project, synced_since)
VALUES (CAST(:project_id AS uuid), CAST(:include_sandbox AS boolean), CAST(:revenuecat_project AS text),
        CAST(:began AS timestamptz))
ON CONFLICT (project_id) DO UPDATE
SET include_sandbox = excluded.include_sandbox, revenuecat_project = excluded.revenuecat_project,
    synced_since = excluded.synced_since
RETURNING (SELECT min(looked_at) FROM job_revenuecat_users look WHERE look.project_id = last.project_id) AS oldest_look;
