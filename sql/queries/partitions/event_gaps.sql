-- The time ranges for which an event table has no partition, the most urgent first.
SELECT event_table, since, until FROM event_gaps(CAST(:first AS timestamptz), CAST(:last AS timestamptz))
ORDER BY since, position;
