-- No row: the slug is taken.
INSERT INTO teams (name, slug) VALUES (CAST(:name AS text), CAST(:slug AS text))
ON CONFLICT (slug) WHERE deleted_at IS NULL DO NOTHING
RETURNING id;
