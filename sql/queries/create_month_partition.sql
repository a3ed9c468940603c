SELECT outcome, detail FROM create_month_partition(CAST(:parent AS text), CAST(:month AS date));
