-- Examples: clickhouse-client --param_month=2026-11-01 --queries-file queries.sql

-- The bill of a month: measured hours and corrections, by user of each host. A user who got a name late has a line without it.
SELECT any(host_name) AS on_host, uid, if(user != '', user, account) AS name, class,
    sum(sent_bytes) AS sent, sum(received_bytes) AS received
FROM trafcalc_row FINAL
WHERE type IN ('hour', 'correction') AND day >= {month:Date} AND day < {month:Date} + INTERVAL 1 MONTH
GROUP BY host, uid, name, class
ORDER BY sent + received DESC;

-- The users of all hosts who moved most, by name.
SELECT user, uniqExact(host) AS hosts, sum(sent_bytes) AS sent, sum(received_bytes) AS received
FROM trafcalc_row FINAL
WHERE type = 'hour' AND user != '' AND day >= {month:Date} AND day < {month:Date} + INTERVAL 1 MONTH
GROUP BY user
ORDER BY sent + received DESC
LIMIT 20;

-- The 95th percentile of each host's hourly rate, in bits per second. Hours without traffic count as 0.
WITH hours AS (
    SELECT host, any(host_name) AS name, greatest(sum(sent_bytes), sum(received_bytes)) AS bytes
    FROM trafcalc_row FINAL
    WHERE type = 'hour' AND day >= {month:Date} AND day < {month:Date} + INTERVAL 1 MONTH
    GROUP BY host, `from`
), ranked AS (
    SELECT host, name, bytes, row_number() OVER (PARTITION BY host ORDER BY bytes DESC) AS place FROM hours
)
SELECT any(name) AS on_host,
    maxIf(
        intDiv(bytes * 8, 3600),
        place = floor(0.05 * 24 * dateDiff('day', {month:Date}, {month:Date} + INTERVAL 1 MONTH)) + 1
    ) AS percentile_bits_per_s
FROM ranked
GROUP BY host
ORDER BY percentile_bits_per_s DESC;

-- What was not counted in the month.
SELECT host_name, `from`, `to`, cause
FROM trafcalc_row FINAL
WHERE type = 'gap' AND day >= {month:Date} AND day < {month:Date} + INTERVAL 1 MONTH
ORDER BY `from`;

-- Hosts from which no report of the last hour has come.
SELECT any(host_name) AS on_host, max(`to`) AS counted_until
FROM trafcalc_row
WHERE type = 'host'
GROUP BY host
HAVING counted_until < now() - INTERVAL 1 HOUR;
