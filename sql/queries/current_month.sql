SELECT CAST(date_trunc('month', moment AT TIME ZONE 'UTC') AS date) AS month,
       -- Partitions are made once a day: what is to be there now is what was to be there two days ago.
       CAST(date_trunc('month', (moment - interval '2 days') AT TIME ZONE 'UTC') AS date) AS lately
FROM clock_timestamp() AS moment;
