-- Who gives and takes roles does it one after the other: the last owner must not be taken twice at once.
SELECT id FROM teams WHERE lower(slug) = lower(CAST(:team_slug AS text)) AND deleted_at IS NULL
ORDER BY slug = CAST(:team_slug AS text) DESC LIMIT 1
FOR UPDATE;
