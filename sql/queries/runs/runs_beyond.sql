-- Are there runs with this status, live or ended ones, that list_all_runs has not looked through?
SELECT EXISTS (SELECT FROM job_runs
               WHERE completed_at IS NULL AND coalesce(CAST(:status AS text) IN ('pending', 'running'), true)
               OFFSET CAST(:look_through AS integer)) AS live,
       EXISTS (SELECT FROM job_runs
               WHERE completed_at IS NOT NULL AND coalesce(CAST(:status AS text) NOT IN ('pending', 'running'), true)
                 AND (CAST(:status AS text) IS DISTINCT FROM 'failed' OR status = 'failed')
               ORDER BY completed_at DESC OFFSET CAST(:look_through AS integer)) AS ended;
