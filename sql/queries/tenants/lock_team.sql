-- Serialises role changes per team, so that two concurrent removals cannot leave it without an owner.
SELECT id FROM teams WHERE lower(slug) = lower(CAST(:team_slug AS text)) AND deleted_at IS NULL
ORDER BY slug = CAST(:team_slug AS text) DESC LIMIT 1
FOR UPDATE;
