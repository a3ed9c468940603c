-- Returns the pause if it was still in force.
WITH ended AS (
    DELETE FROM job_project_pauses
    WHERE project_id = CAST(:project_id AS uuid) AND job_type = CAST(:job_type AS text)
    RETURNING why, until
)
SELECT why FROM ended WHERE until IS NULL OR until > clock_timestamp();
