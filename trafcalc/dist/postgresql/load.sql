-- Reads rows of `trafcalc ship` from standard input: psql -X -q -f load.sql. All of them are loaded, or none.
-- A row replaces the one with the same key, unless that has a higher revision, so a repeated batch changes nothing.

\set ON_ERROR_STOP on
\encoding UTF8
BEGIN;
CREATE TEMPORARY TABLE shipped (line jsonb NOT NULL) ON COMMIT DROP;
-- JSON has neither of these two characters.
\copy shipped FROM pstdin WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')
INSERT INTO trafcalc_row AS known
SELECT DISTINCT ON (host, book, type, id, "from") new.*
FROM shipped,
    jsonb_to_record(line) AS new (
        host text, host_name text, book bigint, type text, id bigint, "from" timestamptz, "to" timestamptz, day date,
        uid bigint, "user" text, unit text, program text, class text, account text,
        sent_bytes bigint, received_bytes bigint, cause text, revision bigint
    )
ORDER BY host, book, type, id, "from", revision DESC
ON CONFLICT (host, book, type, id, "from") DO UPDATE SET
    host_name = excluded.host_name, "to" = excluded."to", day = excluded.day, uid = excluded.uid,
    "user" = excluded."user", unit = excluded.unit, program = excluded.program, class = excluded.class,
    account = excluded.account, sent_bytes = excluded.sent_bytes, received_bytes = excluded.received_bytes,
    cause = excluded.cause, revision = excluded.revision
WHERE excluded.revision > known.revision;
COMMIT;
