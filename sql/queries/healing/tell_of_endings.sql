-- Writes the mails and events that these runs still owe. untold is the error if one still cannot be written. The locked
-- row decides: another sweep may have written them already.
SELECT CAST(id AS text) AS key, tell_of_ending(run) AS untold
FROM (SELECT * FROM job_runs WHERE id = ANY (CAST(:keys AS uuid[])) AND untold IS NOT NULL FOR UPDATE SKIP LOCKED) AS run;
