SELECT create_month_partition(CAST(:parent AS text), CAST(:month AS date)) AS made;
