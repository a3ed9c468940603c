-- Takes no locks beforehand: nothing is added to old days, and of two concurrent sweeps the second finds its rows gone.
DELETE FROM job_days WHERE id = ANY (CAST(:keys AS bigint[])) RETURNING id;
