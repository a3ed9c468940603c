-- Releases what these alerts have held back, if they may send again: one delivery as it is, several as one digest. A
-- digest names the newest fifty. An alert by mail has to wait while it has a delivery to hand over, and while a mail of the
-- team's alerts waits in the outbox; so what a team's share cannot carry becomes a digest, and not a pile of mails.
WITH free AS MATERIALIZED (
    SELECT id, team_id, minutes_between FROM job_alerts
    WHERE id = ANY (CAST(:keys AS uuid[])) AND quiet_until <= CAST(:now AS timestamptz)
      AND paused_at IS NULL AND deleted_at IS NULL
      AND (channel <> 'mail' OR (
          NOT EXISTS (SELECT FROM job_alert_deliveries WHERE alert_id = job_alerts.id AND status = 'unsent')
          AND NOT EXISTS (
              SELECT FROM job_outbox mail
              WHERE mail.team_id = job_alerts.team_id AND mail.status = 'unsent' AND mail.attempts = 0
                AND mail.content ? 'alert_id')))
    FOR NO KEY UPDATE SKIP LOCKED
), held AS MATERIALIZED (
    SELECT id, alert_id, team_id, kind, data, count(*) OVER of_alert AS held_count,
           row_number() OVER (of_alert ORDER BY created_at DESC, id DESC) AS place
    FROM (SELECT delivery.id, delivery.alert_id, free.team_id, delivery.kind, delivery.data, delivery.created_at
          FROM job_alert_deliveries delivery JOIN free ON free.id = delivery.alert_id
          WHERE delivery.status = 'held'
          -- Another sweep may have released them just now.
          FOR NO KEY UPDATE OF delivery SKIP LOCKED) AS locked
    WINDOW of_alert AS (PARTITION BY alert_id)
), alone AS (
    UPDATE job_alert_deliveries AS delivery
    SET status = 'unsent', send_at = CAST(:now AS timestamptz),
        expires_at = CAST(:now AS timestamptz) + interval '1 day'
    FROM held WHERE delivery.id = held.id AND held.held_count = 1
), digests AS MATERIALIZED (
    SELECT gen_random_uuid() AS id, alert_id, team_id,
           jsonb_build_object(
               'count', max(held_count),
               'failed', count(*) FILTER (WHERE kind = 'failed'),
               'events', jsonb_agg(data || jsonb_build_object('kind', kind) ORDER BY place)
                             FILTER (WHERE place <= 50)) AS data
    FROM held WHERE held_count > 1 GROUP BY alert_id, team_id
), inserted AS (
    INSERT INTO job_alert_deliveries (id, alert_id, team_id, kind, about, data, status, send_at, expires_at)
    SELECT id, alert_id, team_id, 'digest', CAST(id AS text), data, 'unsent', CAST(:now AS timestamptz),
           CAST(:now AS timestamptz) + interval '1 day'
    FROM digests
), digested AS (
    UPDATE job_alert_deliveries AS delivery
    SET status = 'digested', digest_id = digests.id, ended_at = clock_timestamp()
    FROM held JOIN digests ON digests.alert_id = held.alert_id
    WHERE delivery.id = held.id
)
UPDATE job_alerts AS alert
SET quiet_until = CAST(:now AS timestamptz) + make_interval(mins => free.minutes_between)
FROM free WHERE alert.id = free.id AND alert.id IN (SELECT alert_id FROM held)
RETURNING alert.id;
