SELECT deleted, reached, in_the_way
FROM cleanup_runs(CAST(:project_id AS uuid), CAST(:team_id AS uuid), CAST(:first AS timestamptz),
                  CAST(:last AS timestamptz), CAST(:batch AS integer));
