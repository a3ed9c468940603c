SELECT outcome, detail FROM drop_detached_partition(CAST(:partition AS oid), CAST(:name AS text));
