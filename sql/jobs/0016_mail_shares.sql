-- A team's share of the mails: what is beyond it is told in one digest to each recipient.

CREATE TABLE job_mail_shares (
    team_id  uuid PRIMARY KEY,                    -- not a foreign key: the row outlives its team by a day
    sent_at  timestamptz[] NOT NULL               -- the mails of the last hour, the newest first
);
GRANT SELECT, INSERT, UPDATE, DELETE ON job_mail_shares TO nightshift_app;

ALTER TABLE job_outbox
    ADD COLUMN team_id     uuid,                              -- of a digest: the team whose runs it tells of
    ADD COLUMN digest_id   uuid,                              -- the digest that tells of this mail's run
    ADD COLUMN takes_more  boolean NOT NULL DEFAULT false,    -- a digest that nobody has begun to send
    DROP CONSTRAINT job_outbox_status_check,
    ADD CONSTRAINT known_status CHECK (status IN ('unsent', 'sent', 'failed', 'unwanted', 'digested')),
    ADD CONSTRAINT digested_has_a_digest CHECK ((status = 'digested') = (digest_id IS NOT NULL)),
    ADD CONSTRAINT digest_is_of_a_team CHECK (NOT takes_more OR (team_id IS NOT NULL AND recipient IS NOT NULL));

-- One digest at a time for each recipient of a team.
CREATE UNIQUE INDEX job_outbox_open_digest ON job_outbox (team_id, recipient) WHERE takes_more AND status = 'unsent';
CREATE INDEX job_outbox_digested ON job_outbox (digest_id) WHERE digest_id IS NOT NULL;
