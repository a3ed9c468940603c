-- The users whom RevenueCat's list of customers has seen since this look or in the 48 hours before it: a purchase may
-- arrive without the customer being seen. Without a time they count as seen. Those of this sync are left out.
SELECT u.id, u.user_id, u.is_anonymous, look.attribution_open AS asks_attribution
FROM jsonb_each_text(CAST(:seen AS jsonb)) AS seen (user_id, at_ms)
JOIN app_users u ON u.project_id = CAST(:project_id AS uuid) AND u.user_id = seen.user_id
JOIN job_revenuecat_users look ON look.app_user_id = u.id
WHERE look.looked_at < CAST(:began AS timestamptz)
  AND (seen.at_ms IS NULL
       OR to_timestamp(CAST(seen.at_ms AS bigint) / 1000.0) >= look.looked_at - interval '48 hours')
ORDER BY u.id;
