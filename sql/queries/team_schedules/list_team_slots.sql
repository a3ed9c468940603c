-- The last slots of a schedule, newest first, each with the status of the run that it started or was skipped for.
SELECT slot.slot, slot.outcome, slot.reason, slot.run_id, slot.decided_at, run.status
FROM job_team_slots slot LEFT JOIN job_runs_public run ON run.id = slot.run_id
WHERE slot.schedule_id = CAST(:schedule_id AS uuid)
  AND (CAST(:before AS timestamptz) IS NULL OR slot.slot < CAST(:before AS timestamptz))
ORDER BY slot.slot DESC LIMIT CAST(:limit AS integer);
