SELECT CAST(date_trunc('month', moment AT TIME ZONE 'UTC') AS date) AS month,
       -- Partitions are created once a day, so those expected now are those that were due two days ago.
       CAST(date_trunc('month', (moment - interval '2 days') AT TIME ZONE 'UTC') AS date) AS lately
FROM clock_timestamp() AS moment;
