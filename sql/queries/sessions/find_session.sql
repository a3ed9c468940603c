-- The session's user, with one row per team, as in find_user.sql. A member who was removed and a user who was deleted
-- lose their rights with the next request. is_stale: its last use is to be written.
SELECT session.id AS session_id, person.id AS user_id, person.email, team.id AS team_id, team.name AS team_name,
       team.slug AS team_slug, member.role, session.last_used_at < clock_timestamp() - interval '10 minutes' AS is_stale
FROM job_sessions session
JOIN users person ON person.id = session.user_id AND person.deleted_at IS NULL
LEFT JOIN (team_members member JOIN teams team ON team.id = member.team_id AND team.deleted_at IS NULL)
       ON member.user_id = person.id
WHERE session.token_hash = CAST(:token_hash AS bytea) AND session.is_cookie = CAST(:is_cookie AS boolean)
  AND session.ends_at > clock_timestamp()
ORDER BY team.slug;
