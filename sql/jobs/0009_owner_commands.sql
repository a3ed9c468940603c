-- The operator's `doctor` compares the applied migrations with those of this release.
GRANT SELECT ON nightshift_migrations TO nightshift_app;
