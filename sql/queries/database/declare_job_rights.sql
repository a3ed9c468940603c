SELECT declare_job_rights(CAST(:declared AS jsonb));
