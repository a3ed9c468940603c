DELETE FROM job_mail_stops WHERE address = lower(CAST(:address AS text))
RETURNING address, reason, detail, stopped_at;
