SELECT job_type, max(slot) AS slot, count(*) AS missed
FROM job_schedule_slots
WHERE decided_at > clock_timestamp() - interval '1 day' AND outcome = 'missed'
GROUP BY job_type ORDER BY job_type;
