-- Slots missed in the last day, and whether their job was started for a later slot since.
SELECT missed.job_type, max(missed.slot) AS slot, count(*) AS missed,
       EXISTS (SELECT FROM job_schedule_slots later
               WHERE later.job_type = missed.job_type AND later.slot > max(missed.slot)
                 AND later.outcome IN ('started', 'caught_up')) AS has_run_since
FROM job_schedule_slots missed
WHERE missed.decided_at > statement_timestamp() - interval '1 day' AND missed.outcome = 'missed'
GROUP BY missed.job_type ORDER BY missed.job_type;
