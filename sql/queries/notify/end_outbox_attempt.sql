-- Records the result of the attempt. "unsent" is retried at the claim's send_at. Fenced by the number of the attempt: a
-- function that was frozen until another one claimed the row changes nothing.
UPDATE job_outbox
SET status = CAST(:status AS text), error = CAST(:error AS text), message_id = CAST(:message_id AS text),
    send_at = CASE WHEN CAST(:status AS text) = 'unsent' THEN send_at END,
    ended_at = CASE WHEN CAST(:status AS text) <> 'unsent' THEN clock_timestamp() END
WHERE id = CAST(:outbox_id AS uuid) AND status = 'unsent' AND attempts = CAST(:attempt AS integer);
