SELECT pg_advisory_xact_lock(CAST(:lock AS bigint));
