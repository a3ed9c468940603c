SELECT address, reason, detail, stopped_at FROM job_mail_stops ORDER BY stopped_at DESC, address LIMIT :at_most;
