-- Stores these runs as the items of an action, in one statement. A run of another team, and one that does not exist, is
-- left out; a live run belongs to the team that owns its project now (get_run.sql).
-- Some are decided at once. To cancel: a run that has ended is skipped. To run again: only the newest of a project and type
-- counts, because one run of each can be live. If that one is live, or was run again already, it is skipped, and the older
-- ones are superseded all the same: a repeated command must not go back to older and older runs.
WITH chosen AS MATERIALIZED (
    SELECT run.id, run.project_id, run.job_type, run.status, run.created_at, run.completed_at
    FROM job_runs run LEFT JOIN projects home ON home.id = run.project_id AND run.completed_at IS NULL
    WHERE run.id = ANY (CAST(:run_ids AS uuid[])) AND run.project_id IS NOT NULL
      AND coalesce(home.team_id, run.team_id) = CAST(:team_id AS uuid)
), looked_at AS (
    SELECT chosen.*,
           CASE WHEN CAST(:action AS text) = 'cancel' THEN
                    CASE WHEN completed_at IS NOT NULL THEN format('it is %s already', status) END
                WHEN completed_at IS NULL THEN 'it is still live'
                WHEN CAST(:from_cursor AS boolean) AND status = 'completed'
                    THEN 'it is completed: it can be run again from the start only'
                ELSE (SELECT format('it was run again already, as %s', again.id)
                      FROM job_runs again WHERE again.rerun_of = chosen.id ORDER BY again.created_at DESC LIMIT 1)
           END AS reason
    FROM chosen
), ranked AS (
    SELECT looked_at.*, row_number() OVER (
               PARTITION BY project_id, job_type ORDER BY created_at DESC, id DESC) AS place
    FROM looked_at
)
INSERT INTO job_bulk_items (action_id, run_id, project_id, job_type, run_created_at, outcome, reason, decided_at)
SELECT CAST(:action_id AS uuid), id, project_id, job_type, created_at, outcome,
       CASE WHEN outcome = 'skipped' THEN reason END, CASE WHEN outcome IS NOT NULL THEN clock_timestamp() END
FROM ranked, LATERAL (
    SELECT CASE WHEN CAST(:action AS text) = 'rerun' AND place > 1 THEN 'superseded'
                WHEN reason IS NOT NULL THEN 'skipped' END AS outcome) AS decided;
