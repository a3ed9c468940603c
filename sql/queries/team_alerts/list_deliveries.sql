-- The deliveries of an alert, newest first, or one of them. :before_id is the last delivery of the page before.
SELECT delivery.id, delivery.alert_id, delivery.kind, delivery.run_id, delivery.data, delivery.status, delivery.send_at, delivery.tries,
       delivery.answer_status, delivery.answer, delivery.error, delivery.digest_id, delivery.created_at,
       delivery.ended_at
FROM job_alert_deliveries delivery
WHERE (CAST(:alert_id AS uuid) IS NULL OR delivery.alert_id = CAST(:alert_id AS uuid))
  AND (CAST(:delivery_id AS uuid) IS NULL OR delivery.id = CAST(:delivery_id AS uuid))
  AND (CAST(:before_id AS uuid) IS NULL OR
       (delivery.created_at, delivery.id) < (
           (SELECT created_at FROM job_alert_deliveries WHERE id = CAST(:before_id AS uuid)),
           CAST(:before_id AS uuid)))
ORDER BY delivery.created_at DESC, delivery.id DESC LIMIT CAST(:limit AS integer);
