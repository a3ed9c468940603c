-- Our roles may call what they call, also where a platform has taken the functions that are made from PUBLIC. Every
-- ending of a run calls the first one.
GRANT EXECUTE ON FUNCTION tell_of_ending(job_runs) TO nightshift_app;
GRANT EXECUTE ON FUNCTION
    create_month_partition(text, date), drop_detached_partition(oid, text),
    cleanup_is_on_its_own(text), cleanup_refusal(text, text, text, text),
    cleanup_due(text, timestamptz, uuid[], uuid, integer), cleanup_hold(text, uuid, timestamptz, uuid, uuid),
    cleanup_extent(text, text, uuid, text), cleanup_batch(text, text, uuid, text, text, text, integer),
    cleanup_runs(uuid, uuid, timestamptz, timestamptz, integer), cleanup_resource(text, uuid),
    cleanup_estimate(timestamptz, text[])
TO nightshift_maintenance;
