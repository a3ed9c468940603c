-- A key is good for 24 hours; after that it may name a new run.
UPDATE job_runs SET idempotency_key = NULL, request_hash = NULL
WHERE idempotency_key = CAST(:idempotency_key AS bytea) AND created_at <= clock_timestamp() - interval '24 hours';
