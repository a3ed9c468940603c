-- Tables that are a view, a materialized view or a foreign table. Their definition decides which rows they show.
SELECT CAST(class.oid::regclass AS text) AS name,
       CASE class.relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' ELSE 'a foreign table' END AS kind
FROM unnest(CAST(:tables AS text[])) AS named (name)
JOIN pg_class class ON class.oid = to_regclass(named.name) AND class.relkind IN ('v', 'm', 'f')
ORDER BY name;
