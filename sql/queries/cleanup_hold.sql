SELECT cleanup_hold(CAST(:resource AS text), CAST(:id AS uuid), CAST(:cutoff AS timestamptz)) AS held;
