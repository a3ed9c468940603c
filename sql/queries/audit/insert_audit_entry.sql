INSERT INTO job_audit_entries (team_id, actor, action, subject_type, subject_id, details, request_id)
VALUES (CAST(:team_id AS uuid), CAST(:actor AS text), CAST(:action AS text), CAST(:subject_type AS text),
        CAST(:subject_id AS text), CAST(:details AS jsonb), CAST(:request_id AS text));
