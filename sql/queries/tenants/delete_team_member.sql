DELETE FROM team_members member USING users person
WHERE member.team_id = CAST(:team_id AS uuid) AND person.id = member.user_id AND person.deleted_at IS NULL
  AND lower(person.email) = lower(CAST(:email AS text))
RETURNING person.id;
