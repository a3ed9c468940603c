-- Takes no locks beforehand: of two concurrent sweeps the second finds its rows gone.
DELETE FROM job_bulk_actions WHERE id = ANY (CAST(:keys AS uuid[])) RETURNING id;
