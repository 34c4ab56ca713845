-- The books of many hosts, for PostgreSQL 12 and later, in a database with the encoding UTF8: psql -f schema.sql. Rows come from `trafcalc ship` by load.sql.

-- `type` is hour (what an account moved in an hour), correction, gap, or host (until when the host has counted). `id` is the
-- number of the account or correction in the book. `day` is the day under which it is booked, in the time zone of the host, so sums over days and months are those
-- of `trafcalc report` on the host. `book` tells a new book of a host from its former one.
CREATE TABLE trafcalc_row (
    host text NOT NULL,
    host_name text NOT NULL,
    book bigint NOT NULL,
    type text NOT NULL,
    id bigint NOT NULL,
    "from" timestamptz NOT NULL,
    "to" timestamptz,
    day date NOT NULL,
    uid bigint,
    "user" text,
    unit text,
    program text,
    class text,
    account text,
    sent_bytes bigint NOT NULL,
    received_bytes bigint NOT NULL,
    cause text,
    revision bigint NOT NULL,
    PRIMARY KEY (host, book, type, id, "from")
);

CREATE INDEX trafcalc_row_day ON trafcalc_row USING brin (day);
