SELECT cleanup_resource(CAST(:resource AS text), CAST(:id AS uuid)) AS in_the_way;
