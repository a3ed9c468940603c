SELECT CAST(cleanup_hold(CAST(:resource AS text), CAST(:id AS uuid), CAST(:cutoff AS timestamptz),
                         CAST(:project AS uuid), CAST(:app AS uuid)) AS text) AS astray;
