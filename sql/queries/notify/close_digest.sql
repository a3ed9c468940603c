-- The digest accepts no more mails from now on. Its runs are read after this; a later mail begins another digest.
UPDATE job_outbox SET takes_more = false WHERE id = CAST(:outbox_id AS uuid) AND takes_more;
