-- Our roles that cannot sign in as they should, and the statement that changes it. With :tokens, each role must be a
-- member of rds_iam; otherwise none may be, because RDS accepts no password from a member. A role gets no password here:
-- only the secrets know it.
WITH ours AS (
    SELECT oid, rolname AS role FROM pg_roles WHERE rolname = ANY (CAST(:roles AS text[]))
)
SELECT role, 'is not a member of rds_iam, so it cannot sign in with a token' AS says,
       format('GRANT rds_iam TO %I; ALTER ROLE %I PASSWORD NULL', role, role) AS statement
FROM ours
WHERE CAST(:tokens AS boolean)
  AND NOT EXISTS (SELECT FROM pg_auth_members WHERE member = ours.oid AND roleid = to_regrole('rds_iam'))
UNION ALL
SELECT role, 'is a member of rds_iam, so it cannot sign in with a password',
       format('REVOKE rds_iam FROM %I GRANTED BY %s', role, CAST(membership.grantor AS regrole))
FROM ours JOIN pg_auth_members membership ON membership.member = ours.oid AND membership.roleid = to_regrole('rds_iam')
WHERE NOT CAST(:tokens AS boolean)
ORDER BY role;
