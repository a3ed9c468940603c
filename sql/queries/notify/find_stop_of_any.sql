-- For the API, which may not read the words of the mail server.
SELECT reason, stopped_at FROM job_mail_stops
WHERE address = ANY (SELECT lower(address) FROM unnest(CAST(:addresses AS text[])) AS address)
ORDER BY stopped_at LIMIT 1;
