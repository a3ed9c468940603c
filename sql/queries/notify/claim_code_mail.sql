-- Decides whether a code is mailed, and to which address: the person's own, as the platform stores it. No row: there is
-- no such person, or two; mails to them are stopped; the mails of this hour are used up, to this person or in all; or the
-- code was mailed already, has expired or was replaced. A person without a place takes none of all people's.
WITH asked AS MATERIALIZED (
    SELECT sign_in.id, person.id AS user_id, person.email
    FROM job_sign_ins sign_in
    JOIN users person ON lower(person.email) = lower(sign_in.address) AND person.deleted_at IS NULL
                     AND lower(person.email COLLATE "C") = lower(sign_in.address COLLATE "C")
    WHERE sign_in.id = CAST(:sign_in_id AS uuid) AND sign_in.user_id IS NULL AND sign_in.ended_at IS NULL
      AND sign_in.expires_at > clock_timestamp()
      AND NOT EXISTS (SELECT FROM job_mail_stops WHERE address = lower(person.email))
      AND NOT EXISTS (SELECT FROM users other
                      WHERE lower(other.email) = lower(person.email) AND other.deleted_at IS NULL
                        AND other.id <> person.id)
), of_person AS MATERIALIZED (
    SELECT asked.*, take_sign_in_share('user ' || user_id, CAST(:for_one AS integer)) AS is_taken FROM asked
), of_all AS MATERIALIZED (
    SELECT id, user_id, email, take_sign_in_share('all', CAST(:in_all AS integer)) AS is_taken
    FROM of_person WHERE is_taken
)
UPDATE job_sign_ins AS sign_in SET user_id = of_all.user_id
FROM of_all
WHERE of_all.is_taken AND sign_in.id = of_all.id AND sign_in.user_id IS NULL
RETURNING of_all.email AS recipient, sign_in.source, sign_in.browser, sign_in.asked_at, sign_in.expires_at;
