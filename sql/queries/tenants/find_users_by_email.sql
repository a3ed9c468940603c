-- The first comparison uses the index. The second is exact: some collations treat different letters as equal.
SELECT id FROM users
WHERE lower(email) = lower(CAST(:email AS text)) AND deleted_at IS NULL
  AND lower(email COLLATE "C") = lower(CAST(:email AS text) COLLATE "C")
LIMIT 2;
