-- Schedules with past slots that have no row yet.
SELECT job_type AS key FROM job_schedules
WHERE next_slot <= CAST(:until AS timestamptz) AND job_type = ANY (CAST(:job_types AS text[]))
ORDER BY next_slot LIMIT CAST(:at_most AS integer);
