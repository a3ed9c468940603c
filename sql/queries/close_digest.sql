-- From here on the digest takes no more: what it tells of is asked for after this, and a later mail begins another one.
UPDATE job_outbox SET takes_more = false WHERE id = CAST(:outbox_id AS uuid) AND takes_more;
