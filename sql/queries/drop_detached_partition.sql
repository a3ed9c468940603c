SELECT drop_detached_partition(CAST(:partition AS oid), CAST(:name AS text)) AS outcome;
