UPDATE job_deployment SET wants_events = CAST(:wanted AS boolean);
