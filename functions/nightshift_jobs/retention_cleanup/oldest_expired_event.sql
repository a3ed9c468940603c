-- The time of the app's oldest event, if that is expired.
SELECT first
FROM cleanup_extent(CAST(:relation AS text), 'app_id', CAST(:app_id AS uuid), 'timestamp')
WHERE CAST(first AS timestamptz) <= CAST(:last AS timestamptz);
