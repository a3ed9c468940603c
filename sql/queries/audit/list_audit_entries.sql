-- Entries, the newest first: of one team, or of all teams and of the operator. :before_id is the last entry of the page
-- before. Planned with its values, so that each of
-- both reads a range of an index.
SELECT entry.id, entry.occurred_at, entry.team_id, team.slug AS team, entry.actor, entry.action, entry.subject_type,
       entry.subject_id, entry.details, entry.request_id
FROM job_audit_entries entry LEFT JOIN teams team ON team.id = entry.team_id
WHERE (CAST(:team_id AS uuid) IS NULL OR entry.team_id = CAST(:team_id AS uuid))
  AND (CAST(:before_id AS uuid) IS NULL OR
       (entry.occurred_at, entry.id) < ((SELECT occurred_at FROM job_audit_entries WHERE id = CAST(:before_id AS uuid)),
                                        CAST(:before_id AS uuid)))
ORDER BY entry.occurred_at DESC, entry.id DESC
LIMIT CAST(:limit AS integer);
