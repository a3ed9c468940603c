SELECT CAST(date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') AS date) AS month;
