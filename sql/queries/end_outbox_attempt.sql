-- What the attempt came to: "unsent" is tried again when the claim's send_at comes. Fenced by the number of the attempt:
-- whoever was frozen until somebody else claimed the row has no say any more.
UPDATE job_outbox
SET status = CAST(:status AS text), error = CAST(:error AS text), message_id = CAST(:message_id AS text),
    send_at = CASE WHEN CAST(:status AS text) = 'unsent' THEN send_at END,
    ended_at = CASE WHEN CAST(:status AS text) <> 'unsent' THEN clock_timestamp() END
WHERE id = CAST(:outbox_id AS uuid) AND status = 'unsent' AND attempts = CAST(:attempt AS integer);
