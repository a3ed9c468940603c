-- The update changes nothing; it makes the statement return an existing user, too.
INSERT INTO users AS person (email) VALUES (CAST(:email AS text))
ON CONFLICT (lower(email)) WHERE deleted_at IS NULL DO UPDATE SET email = person.email
RETURNING id;
