-- The project and the team that a mail or an event is about, by name; of those that are deleted there is none.
SELECT (SELECT name FROM projects WHERE id = CAST(:project_id AS uuid)) AS project,
       (SELECT name FROM teams WHERE id = CAST(:team_id AS uuid)) AS team;
