-- Makes a code for an address, and ends the one that it replaces. The statement reads no table of people, so it does the
-- same for every address; the notify function decides whether a mail leaves. If the network has no place left, nothing is
-- made, and wait_s is the time until it has one.
WITH taken AS MATERIALIZED (
    SELECT take_sign_in_share('source ' || CAST(:source AS text), CAST(:at_most AS integer)) AS is_taken
), replaced AS (
    UPDATE job_sign_ins SET ended_at = clock_timestamp()
    FROM taken
    WHERE is_taken AND id = CAST(:replaced_id AS uuid) AND browser_hash = CAST(:replaced_hash AS bytea)
      AND lower(address) = lower(CAST(:address AS text)) AND ended_at IS NULL
), made AS (
    INSERT INTO job_sign_ins (id, secret_hash, browser_hash, address, source, browser)
    SELECT CAST(:id AS uuid), CAST(:secret_hash AS bytea), CAST(:browser_hash AS bytea), CAST(:address AS text),
           CAST(:source AS text), CAST(:browser AS text)
    FROM taken WHERE is_taken
    RETURNING id
)
SELECT EXISTS (SELECT FROM made) AS is_made, (
    SELECT CAST(ceil(extract(epoch FROM code + interval '1 hour' - clock_timestamp())) AS integer)
    FROM job_sign_in_shares, unnest(taken_at) AS code
    WHERE key = 'source ' || CAST(:source AS text)
    ORDER BY code DESC OFFSET CAST(:at_most AS integer) - 1 LIMIT 1
) AS wait_s;
