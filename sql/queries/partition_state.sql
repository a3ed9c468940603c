-- What has become of a recorded partition: attached, detaching, detached; or changed, when no table is the recorded one
-- any more. And the statement that detaches it, finishes detaching it, or puts it back: DETACH CONCURRENTLY leaves a
-- CHECK behind that proves the bounds, so that this needs no scan.
SELECT CASE
           WHEN class.oid IS NULL OR inherits.inhparent <> recorded.parent THEN 'changed'
           WHEN inherits.inhparent IS NULL THEN 'detached'
           WHEN inherits.inhdetachpending THEN 'detaching'
           ELSE 'attached'
       END AS state,
       CASE WHEN inherits.inhparent IS NULL
            THEN format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
                        recorded.parent::regclass, recorded.partition::regclass, recorded.since, recorded.until)
            ELSE format('ALTER TABLE %s DETACH PARTITION %s %s', recorded.parent::regclass, recorded.partition::regclass,
                        CASE WHEN inherits.inhdetachpending THEN 'FINALIZE' ELSE 'CONCURRENTLY' END)
       END AS statement
FROM (SELECT CAST(:partition AS oid) AS partition, CAST(:parent AS oid) AS parent, CAST(:name AS text) AS name,
             CAST(:since AS text) AS since, CAST(:until AS text) AS until) AS recorded
LEFT JOIN pg_class class ON class.oid = recorded.partition AND class.relname = recorded.name
LEFT JOIN pg_inherits inherits ON inherits.inhrelid = class.oid;
