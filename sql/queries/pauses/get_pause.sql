-- The pause that keeps a schedule from starting its job: that of the type or else that of the schedule.
SELECT paused_at, 'paused by ' || paused_by || ': ' || why AS reason FROM job_pauses
WHERE job_type = CAST(:job_type AS text) ORDER BY what DESC LIMIT 1;
