-- Makes the places of a job type that are missing: at its first run, and after its cap was raised.
INSERT INTO job_places (job_type, place)
SELECT CAST(:job_type AS text), generate_series(1, CAST(:at_once AS integer))
ON CONFLICT DO NOTHING
RETURNING place;
