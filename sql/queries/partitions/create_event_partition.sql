SELECT outcome, detail
FROM create_event_partition(CAST(:parent AS text), CAST(:since AS timestamptz), CAST(:until AS timestamptz));
