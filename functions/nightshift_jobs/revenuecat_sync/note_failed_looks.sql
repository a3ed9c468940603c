-- Users without an answer had their turn as well. Otherwise they would always be the next, and others would never be.
UPDATE job_revenuecat_users SET looked_at = clock_timestamp() WHERE app_user_id = ANY (CAST(:ids AS uuid[]));
