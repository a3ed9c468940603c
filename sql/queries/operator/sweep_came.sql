-- Seconds since the last sweep.
SELECT CAST(extract(epoch FROM clock_timestamp() - came_at) AS float8) AS ago_s FROM job_sweep;
