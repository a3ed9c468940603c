-- The owner's `doctor` compares what was applied with what this release ships.
GRANT SELECT ON nightshift_migrations TO nightshift_app;
