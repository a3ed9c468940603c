INSERT INTO nightshift_migrations (name, checksum) VALUES (:name, :checksum);
