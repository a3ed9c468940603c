SELECT counted, reached, tied
FROM retention_count(CAST(:relation AS text), CAST(:app_id AS uuid), CAST(:first AS text), CAST(:last AS text),
                     CAST(:passed AS bigint), CAST(:batch AS integer));
