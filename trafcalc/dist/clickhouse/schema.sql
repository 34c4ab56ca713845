-- The books of many hosts, for ClickHouse. Rows come from `trafcalc ship` as JSONEachRow.

-- `type` is hour (what an account moved in an hour), correction, gap, or host (until when the host has counted). `id` is the
-- number of the account or correction in the book. `day` is the day under which it is booked, in the time zone of the host, so sums over days and months are those
-- of `trafcalc report` on the host. `book` tells a new book of a host from its former one. Of the rows with the same key, the
-- one with the highest revision counts: select with FINAL.
CREATE TABLE trafcalc_row (
    host LowCardinality(String),
    host_name LowCardinality(String),
    book Int64,
    type LowCardinality(String),
    id Int64,
    `from` DateTime64(6, 'UTC'),
    `to` Nullable(DateTime64(6, 'UTC')),
    day Date32,
    uid Nullable(UInt32),
    user LowCardinality(String),
    unit LowCardinality(String),
    program LowCardinality(String),
    class LowCardinality(String),
    account LowCardinality(String),
    sent_bytes Int64,
    received_bytes Int64,
    cause String,
    revision UInt64
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(`from`)
ORDER BY (host, book, type, id, `from`)
-- An accepted row survives a crash of the server.
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
