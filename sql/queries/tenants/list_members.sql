-- Searches ids, and addresses only for callers who may see addresses: a search must not reveal them to others.
SELECT person.id, CASE WHEN CAST(:with_emails AS boolean) THEN person.email END AS email, member.role
FROM team_members member JOIN users person ON person.id = member.user_id
WHERE member.team_id = CAST(:team_id AS uuid) AND person.deleted_at IS NULL
  AND (CAST(:q AS text) IS NULL OR CAST(person.id AS text) = lower(CAST(:q AS text))
       OR (CAST(:with_emails AS boolean) AND strpos(lower(person.email), lower(CAST(:q AS text))) > 0))
ORDER BY person.email
LIMIT CAST(:limit AS integer);
