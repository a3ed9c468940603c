-- Each schedule, with its recorded slots from its first open slot on.
SELECT schedule.job_type, schedule.cron, schedule.next_slot, clock_timestamp() AS now,
       array_remove(array_agg(slot.slot), NULL) AS slots
FROM job_schedules schedule
LEFT JOIN job_schedule_slots slot ON slot.job_type = schedule.job_type AND slot.slot >= schedule.next_slot
GROUP BY schedule.job_type ORDER BY schedule.job_type;
