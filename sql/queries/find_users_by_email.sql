-- By the first comparison the index is found; the second takes no letter for another one, as the rules of some languages do.
SELECT id FROM users
WHERE lower(email) = lower(CAST(:email AS text)) AND deleted_at IS NULL
  AND lower(email COLLATE "C") = lower(CAST(:email AS text) COLLATE "C")
LIMIT 2;
