INSERT INTO job_bulk_actions (id, team_id, action, from_cursor, asked, created_by)
VALUES (CAST(:action_id AS uuid), CAST(:team_id AS uuid), CAST(:action AS text), CAST(:from_cursor AS boolean),
        CAST(:asked AS jsonb), CAST(:created_by AS text));
