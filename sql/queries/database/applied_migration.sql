SELECT checksum, applied_at FROM nightshift_migrations WHERE name = :name;
