-- The names of the project and the team of a mail or an event; null if they are deleted.
SELECT (SELECT name FROM projects WHERE id = CAST(:project_id AS uuid)) AS project,
       (SELECT name FROM teams WHERE id = CAST(:team_id AS uuid)) AS team;
