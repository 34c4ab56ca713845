-- Examples: psql -v month=2026-11-01 -f queries.sql

-- The bill of a month: measured hours and corrections, by user of each host. A user who got a name late has a line without it.
SELECT max(host_name) AS host_name, uid, coalesce("user", account) AS "user", class,
    sum(sent_bytes) AS sent_bytes, sum(received_bytes) AS received_bytes
FROM trafcalc_row
WHERE type IN ('hour', 'correction') AND day >= :'month'::date AND day < :'month'::date + interval '1 month'
GROUP BY host, uid, coalesce("user", account), class
ORDER BY sum(sent_bytes) + sum(received_bytes) DESC;

-- The users of all hosts who moved most, by name.
SELECT "user", count(DISTINCT host) AS hosts, sum(sent_bytes) AS sent_bytes, sum(received_bytes) AS received_bytes
FROM trafcalc_row
WHERE type = 'hour' AND "user" IS NOT NULL
    AND day >= :'month'::date AND day < :'month'::date + interval '1 month'
GROUP BY "user"
ORDER BY sum(sent_bytes) + sum(received_bytes) DESC
LIMIT 20;

-- The 95th percentile of each host's hourly rate, in bits per second. Hours without traffic count as 0.
WITH hours AS (
    SELECT host, max(host_name) AS host_name, greatest(sum(sent_bytes), sum(received_bytes)) AS bytes
    FROM trafcalc_row
    WHERE type = 'hour' AND day >= :'month'::date AND day < :'month'::date + interval '1 month'
    GROUP BY host, "from"
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY host ORDER BY bytes DESC) AS rank FROM hours
)
SELECT max(host_name) AS host_name,
    coalesce(max(bytes) FILTER (
        WHERE rank = floor(0.05 * extract(epoch FROM :'month'::date + interval '1 month' - :'month'::date) / 3600) + 1
    ), 0) * 8 / 3600 AS percentile_bits_per_s
FROM ranked
GROUP BY host
ORDER BY 2 DESC;

-- What was not counted in the month.
SELECT host_name, "from", "to", cause
FROM trafcalc_row
WHERE type = 'gap' AND day >= :'month'::date AND day < :'month'::date + interval '1 month'
ORDER BY "from";

-- Hosts from which no report of the last hour has come.
SELECT max(host_name) AS host_name, max("to") AS counted_until
FROM trafcalc_row
WHERE type = 'host'
GROUP BY host
HAVING max("to") < now() - interval '1 hour';
