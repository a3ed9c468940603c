-- How many users an incremental sync will look at, as far as that is known without RevenueCat's list of customers.
SELECT count(*) FILTER (WHERE look.period_ends_at < clock_timestamp() + interval '1 day') AS due,
       count(*) FILTER (WHERE look.period_ends_at >= clock_timestamp() + interval '1 day') AS running,
       count(*) FILTER (WHERE look.period_ends_at IS NULL) AS others,
       (SELECT count(*) FROM app_users u
        WHERE u.project_id = CAST(:project_id AS uuid)
          AND NOT u.is_anonymous AND u.user_id NOT LIKE '$RCAnonymousID:%'
          AND NOT EXISTS (SELECT FROM job_revenuecat_users looked WHERE looked.app_user_id = u.id)) AS newcomers
FROM job_revenuecat_users look WHERE look.project_id = CAST(:project_id AS uuid);
