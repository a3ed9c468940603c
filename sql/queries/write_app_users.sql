-- A page at once. What an app has found out about attribution itself outranks RevenueCat, so that goes under the
-- existing keys and the rc_* keys go over them. A row that would stay as it is gets no new version.
-- Properties that are no object would become an array that grows with every sync: they give way.
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
