-- One row: rows of this kind whose message the sweep has not sent, rows that have waited long for any reason, and rows
-- that were given up within a day. A digest that waits for its team's share is not counted.
SELECT unsent.overdue, unsent.waiting, unsent.oldest_s, unsent.error, failed.failed, failed.failed_error
FROM (SELECT count(*) FILTER (
                 WHERE send_at < statement_timestamp() - make_interval(secs => CAST(:grace_s AS float8))) AS overdue,
             count(*) AS waiting,
             coalesce(extract(epoch FROM statement_timestamp() - min(created_at) FILTER (
                 WHERE NOT (takes_more AND send_at > statement_timestamp()))), 0) AS oldest_s,
             (array_agg(error ORDER BY created_at) FILTER (WHERE error IS NOT NULL))[1] AS error
      FROM job_outbox WHERE send_at IS NOT NULL AND kind = CAST(:kind AS text)) AS unsent,
     (SELECT count(*) AS failed, (array_agg(error ORDER BY ended_at DESC))[1] AS failed_error
      FROM job_outbox
      WHERE ended_at > statement_timestamp() - interval '1 day' AND status = 'failed' AND kind = CAST(:kind AS text)
     ) AS failed;
