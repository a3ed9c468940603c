-- Write what these runs still owe; untold is what could not be written this time either. The locked row decides: another
-- sweep may have told it meanwhile.
SELECT CAST(id AS text) AS key, tell_of_ending(run) AS untold
FROM (SELECT * FROM job_runs WHERE id = ANY (CAST(:keys AS uuid[])) AND untold IS NOT NULL FOR UPDATE SKIP LOCKED) AS run;
