SELECT team.slug, team.name,
       (SELECT coalesce(jsonb_agg(project.slug ORDER BY project.slug), '[]')
        FROM projects project WHERE project.team_id = team.id AND project.deleted_at IS NULL) AS projects,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('email', person.email, 'role', member.role)
                                  ORDER BY person.email), '[]')
        FROM team_members member JOIN users person ON person.id = member.user_id AND person.deleted_at IS NULL
        WHERE member.team_id = team.id) AS people
FROM teams team WHERE team.deleted_at IS NULL
ORDER BY team.slug;
