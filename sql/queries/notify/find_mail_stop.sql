SELECT address, reason, detail, stopped_at FROM job_mail_stops WHERE address = lower(CAST(:address AS text));
