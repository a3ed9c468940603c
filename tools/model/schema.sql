-- The parts of the schema that enforce the protocol: CHECKs, keys, unique indexes and triggers of runs, slices, outbox
-- and slots, and the functions that write to one of these tables or are called by one of these triggers.
WITH ours AS (
    SELECT oid, relname FROM pg_class
    WHERE oid = ANY (ARRAY['job_runs', 'job_slices', 'job_outbox', 'job_schedule_slots']::regclass[])
), writers AS (
    SELECT oid, proname, prosrc, proconfig FROM pg_proc
    WHERE pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'job_runs'::regclass)
      AND prosrc ~ '(INSERT INTO|UPDATE|DELETE FROM) (job_runs|job_slices|job_outbox|job_schedule_slots)\y'
       OR oid IN (SELECT tgfoid FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM ours) AND NOT tgisinternal)
)
SELECT 'constraint ' || ours.relname || '.' || conname AS name, pg_get_constraintdef(entry.oid) AS definition
FROM pg_constraint entry JOIN ours ON ours.oid = conrelid WHERE contype IN ('c', 'p', 'u', 'x')
UNION ALL
SELECT 'index ' || index.relname, pg_get_indexdef(indexrelid)
FROM pg_index JOIN ours ON ours.oid = indrelid JOIN pg_class index ON index.oid = indexrelid
WHERE indisunique AND NOT indisprimary
UNION ALL
SELECT 'trigger ' || tgname, pg_get_triggerdef(entry.oid)
FROM pg_trigger entry JOIN ours ON ours.oid = tgrelid WHERE NOT tgisinternal
UNION ALL
SELECT 'function ' || proname, concat_ws(' ', prosrc, array_to_string(proconfig, ' ')) FROM writers
UNION ALL
SELECT 'role ' || rolname, array_to_string(ARRAY(
    SELECT setting FROM unnest(rolconfig) AS setting WHERE setting ~ '_timeout=' ORDER BY setting), ' ')
FROM pg_roles WHERE rolname IN (SELECT job_rights.role FROM job_rights)
ORDER BY name;
