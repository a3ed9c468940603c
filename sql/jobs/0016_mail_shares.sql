-- A team's hourly share of mails. Mails beyond it are combined in one digest per recipient.

CREATE TABLE job_mail_shares (
    team_id  uuid PRIMARY KEY,                    -- not a foreign key: the row outlives its team by a day
    sent_at  timestamptz[] NOT NULL               -- the mails of the last hour, newest first
);
GRANT SELECT, INSERT, UPDATE, DELETE ON job_mail_shares TO nightshift_app;

ALTER TABLE job_outbox
    ADD COLUMN team_id     uuid,                              -- of a digest: the team whose runs it reports
    ADD COLUMN digest_id   uuid,                              -- the digest that reports this mail's run
    ADD COLUMN takes_more  boolean NOT NULL DEFAULT false,    -- a digest whose sending has not begun
    DROP CONSTRAINT job_outbox_status_check,
    ADD CONSTRAINT known_status CHECK (status IN ('unsent', 'sent', 'failed', 'unwanted', 'digested')),
    ADD CONSTRAINT digested_has_a_digest CHECK ((status = 'digested') = (digest_id IS NOT NULL)),
    ADD CONSTRAINT digest_is_of_a_team CHECK (NOT takes_more OR (team_id IS NOT NULL AND recipient IS NOT NULL));

-- One open digest per team and recipient.
CREATE UNIQUE INDEX job_outbox_open_digest ON job_outbox (team_id, recipient) WHERE takes_more AND status = 'unsent';
CREATE INDEX job_outbox_digested ON job_outbox (digest_id) WHERE digest_id IS NOT NULL;
