-- Teams store their own providers' keys. The API may write a secret, but not read it: it encrypts, and the worker alone
-- decrypts.
UPDATE job_rights
SET privileges = '{"SELECT (id, project_id, provider, config, created_at, updated_at, deleted_at)",
                   "INSERT (project_id, provider, config, secret_encrypted)",
                   "UPDATE (config, secret_encrypted, updated_at, deleted_at)"}'
WHERE role = 'nightshift_api' AND table_name = 'project_integrations' AND declared_by = '';
INSERT INTO job_rights (role, table_name, privileges) VALUES
    ('nightshift_worker', 'project_integrations', '{SELECT}');
SELECT grant_job_rights();
