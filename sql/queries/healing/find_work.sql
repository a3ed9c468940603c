-- Does the sweep have anything to do? One row, from one look at each live run and at a few small tables and indexes:
-- unsent mails and events, schedules, and the oldest rows with a retention time. It also notes that the sweep ran,
-- without waiting for another sweep that does so.
WITH beat AS (
    UPDATE job_sweep SET came_at = clock_timestamp()
    WHERE only_row IN (SELECT only_row FROM job_sweep FOR UPDATE SKIP LOCKED)
)
SELECT live.*,
       EXISTS (SELECT FROM job_runs WHERE untold IS NOT NULL) AS untold,
       EXISTS (SELECT FROM job_outbox WHERE send_at <= statement_timestamp()) AS unsent,
       EXISTS (SELECT FROM job_schedules WHERE next_slot <= CAST(:schedules_until AS timestamptz)) AS slots,
       EXISTS (SELECT FROM job_team_schedules WHERE next_slot <= CAST(:now AS timestamptz)) AS team_slots,
       EXISTS (SELECT FROM job_successes WHERE overdue_at <= statement_timestamp()) AS silent,
       EXISTS (SELECT FROM job_agent_keys WHERE look_at <= statement_timestamp()) AS keys,
       EXISTS (SELECT FROM job_runs WHERE completed_at <= kept_since) AS old_runs,
       EXISTS (SELECT FROM job_outbox WHERE ended_at <= kept_since AND run_id IS NULL) AS old_alerts,
       EXISTS (SELECT FROM job_schedule_slots WHERE decided_at <= kept_since) AS old_slots,
       EXISTS (SELECT FROM job_team_slots WHERE decided_at <= kept_since) AS old_team_slots,
       EXISTS (SELECT FROM job_team_schedules WHERE run_at <= kept_since AND next_slot IS NULL) AS old_team_schedules,
       EXISTS (SELECT FROM job_audit_entries WHERE occurred_at <= statement_timestamp() - interval '365 days')
           AS old_audit_entries,
       EXISTS (SELECT FROM job_sign_ins WHERE expires_at <= statement_timestamp()) AS old_sign_ins,
       EXISTS (SELECT FROM job_sign_in_shares WHERE free_at <= statement_timestamp()) AS old_sign_in_shares,
       EXISTS (SELECT FROM job_sessions WHERE ends_at <= statement_timestamp()) AS old_sessions,
       coalesce((SELECT max(completed_at) FROM job_runs WHERE completed_at IS NOT NULL) >= (
                    SELECT greatest(min(active_since), (SELECT alerts_until FROM job_sweep))
                    FROM job_alerts WHERE paused_at IS NULL AND deleted_at IS NULL HAVING count(*) > 0), false)
           OR EXISTS (SELECT FROM job_set_aside WHERE healer = 'alerts_of_runs') AS alerts_of_runs,
       EXISTS (SELECT FROM job_alerts WHERE overdue_look_at <= CAST(:now AS timestamptz)
               AND paused_at IS NULL AND deleted_at IS NULL) AS alerts_overdue,
       EXISTS (SELECT FROM job_alert_deliveries delivery JOIN job_alerts alert ON alert.id = delivery.alert_id
               WHERE delivery.status IN ('held', 'unsent')) AS alerts_due,
       EXISTS (SELECT FROM job_alerts WHERE pause_untold) AS alerts_paused,
       EXISTS (SELECT FROM job_alert_deliveries WHERE created_at <= kept_since) AS alerts_delivered,
       EXISTS (SELECT FROM job_alerts alert WHERE deleted_at IS NOT NULL
               OR NOT EXISTS (SELECT FROM teams WHERE teams.id = alert.team_id)) AS alerts_gone,
       coalesce((SELECT max(completed_at) FROM job_runs WHERE completed_at IS NOT NULL)
                > (SELECT logs_until FROM job_sweep), false)
           OR EXISTS (SELECT FROM job_set_aside WHERE healer = 'logs') AS logs,
       EXISTS (SELECT FROM job_bulk_actions WHERE confirmed_at IS NOT NULL AND ended_at IS NULL) AS bulk_items,
       EXISTS (SELECT FROM job_bulk_actions WHERE created_at <= kept_since
               OR confirmed_at IS NULL AND created_at <= statement_timestamp() - interval '65 minutes') AS bulk_items_old,
       EXISTS (SELECT FROM job_bulk_actions WHERE created_at <= kept_since
               OR confirmed_at IS NULL AND created_at <= statement_timestamp() - interval '65 minutes') AS bulk_actions_old,
       EXISTS (SELECT FROM job_runs WHERE status = 'failed' AND project_id IS NOT NULL
               AND completed_at > statement_timestamp() - interval '1 hour') AS failing,
       -- An ending may commit two minutes after its time at the latest (LATE_ENDINGS_S).
       EXISTS (SELECT FROM job_runs
               WHERE completed_at > (SELECT counted_until FROM job_sweep)
                 AND completed_at <= statement_timestamp() - interval '2 minutes') AS uncounted,
       EXISTS (SELECT FROM job_days
               WHERE day < CAST(statement_timestamp() AT TIME ZONE 'UTC' AS date) - 30) AS old_days,
       EXISTS (SELECT FROM job_set_aside) AS set_aside
FROM (SELECT statement_timestamp() - make_interval(secs => CAST(:retention_s AS float8)) AS kept_since) AS retention,
     -- The conditions of due_runs.sql and misplaced_runs.sql.
     (SELECT coalesce(bool_or(run.lease_expires_at <= statement_timestamp()), false) AS expired,
             coalesce(bool_or(run.lease_expires_at IS NULL AND run.ends_by <= statement_timestamp()), false) AS overlong,
             coalesce(bool_or(run.lease_expires_at IS NULL AND run.resend_at <= statement_timestamp()), false)
                 AS unclaimed,
             coalesce(bool_or(project.team_id <> run.team_id), false) AS moved,
             coalesce(bool_or(run.project_id IS NOT NULL AND run.cancel_requested_at IS NULL
                              AND (project.deleted_at IS NOT NULL OR team.id IS NULL)), false) AS deleted
      FROM job_runs run
          LEFT JOIN projects project ON project.id = run.project_id
          LEFT JOIN teams team ON team.id = project.team_id AND team.deleted_at IS NULL
      WHERE run.completed_at IS NULL) AS live;
