SELECT CAST(id AS text) AS id
FROM cleanup_due(CAST(:resource AS text), CAST(:cutoff AS timestamptz), CAST(:spared AS uuid[]),
                 CAST(:after AS uuid), CAST(:page AS integer)) AS id;
