-- Takes no locks beforehand: entries are never updated, and of two concurrent sweeps the second finds its rows gone.
DELETE FROM job_audit_entries WHERE id = ANY (CAST(:keys AS uuid[]))
RETURNING id;
