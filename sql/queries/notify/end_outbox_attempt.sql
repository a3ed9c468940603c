-- Records the result of each attempt. "unsent" is retried at the claim's send_at. Fenced by the number of the attempt: a
-- function that was frozen until another one claimed the row changes nothing.
UPDATE job_outbox AS notice
SET status = outcome.status, error = outcome.error, message_id = outcome.message_id,
    send_at = CASE WHEN outcome.status = 'unsent' THEN notice.send_at END,
    ended_at = CASE WHEN outcome.status <> 'unsent' THEN clock_timestamp() END
FROM unnest(
    CAST(:outbox_ids AS uuid[]), CAST(:attempts AS integer[]), CAST(:statuses AS text[]), CAST(:errors AS text[]),
    CAST(:message_ids AS text[])) AS outcome (id, attempt, status, error, message_id)
WHERE notice.id = outcome.id AND notice.status = 'unsent' AND notice.attempts = outcome.attempt;
