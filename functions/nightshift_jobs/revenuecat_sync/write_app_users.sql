-- Writes one page. Attribution that an app has found itself takes precedence over RevenueCat's, so attribution goes
-- under the existing keys, while the rc_* keys replace theirs. An unchanged row gets no new version.
-- Properties that are not an object are replaced: otherwise they would become an array that grows with every sync.
UPDATE app_users AS u
SET properties = r.attribution
                 || CASE jsonb_typeof(u.properties) WHEN 'object' THEN u.properties ELSE '{}' END
                 || r.properties,
    total_revenue_usd_cents = r.revenue_usd_cents,
    revenue_synced_at = clock_timestamp()
FROM jsonb_to_recordset(CAST(:users AS jsonb))
    AS r (id uuid, attribution jsonb, properties jsonb, revenue_usd_cents bigint)
WHERE u.id = r.id
  AND u.project_id = CAST(:project_id AS uuid)
  AND (u.properties, u.total_revenue_usd_cents)
      IS DISTINCT FROM (r.attribution
                        || CASE jsonb_typeof(u.properties) WHEN 'object' THEN u.properties ELSE '{}' END
                        || r.properties, r.revenue_usd_cents);
