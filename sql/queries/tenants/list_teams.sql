-- Teams by slug whose slug or name contains :q. Each has the first :named projects and people, and their total counts.
SELECT team.slug, team.name, project.named AS projects, project.in_all AS projects_in_all,
       person.named AS people, person.in_all AS people_in_all
FROM (
    SELECT id, slug, name FROM teams
    WHERE deleted_at IS NULL
      AND (CAST(:q AS text) IS NULL OR strpos(lower(slug), lower(CAST(:q AS text))) > 0
                                    OR strpos(lower(name), lower(CAST(:q AS text))) > 0)
    ORDER BY slug LIMIT CAST(:limit AS integer)
) AS team, LATERAL (
    SELECT count(*) AS in_all,
           coalesce(jsonb_agg(slug ORDER BY slug) FILTER (WHERE place <= CAST(:named AS integer)), '[]') AS named
    FROM (SELECT slug, row_number() OVER (ORDER BY slug) AS place FROM projects
          WHERE team_id = team.id AND deleted_at IS NULL) AS of_the_team
) AS project, LATERAL (
    SELECT count(*) AS in_all,
           coalesce(jsonb_agg(jsonb_build_object('email', email, 'role', role) ORDER BY email)
                    FILTER (WHERE place <= CAST(:named AS integer)), '[]') AS named
    FROM (SELECT known.email, member.role, row_number() OVER (ORDER BY known.email) AS place
          FROM team_members member JOIN users known ON known.id = member.user_id AND known.deleted_at IS NULL
          WHERE member.team_id = team.id) AS of_the_team
) AS person
ORDER BY team.slug;
