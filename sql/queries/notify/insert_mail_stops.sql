-- An address that is stopped already keeps its first reason.
INSERT INTO job_mail_stops (address, reason, detail)
SELECT lower(address), CAST(:reason AS text), detail
FROM unnest(CAST(:addresses AS text[]), CAST(:details AS text[])) AS told (address, detail)
ON CONFLICT DO NOTHING
RETURNING address;
