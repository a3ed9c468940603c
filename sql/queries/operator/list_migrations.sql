SELECT name FROM nightshift_migrations ORDER BY name;
