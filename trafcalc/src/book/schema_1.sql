-- The book, version 1. Never edited once released: what changes is a further file, and a further entry in schema.rs.
-- Names end in their units: _us are microseconds since 1970, _s are seconds since 1970. Bytes are payload.

-- Facts about the book itself: 'begun_us', and 'map', the kernel map that the rows of `baseline` were read from.
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

-- A life of the service. `zone` is what its hours and days are reckoned in, `billing_day` the day on which its months begin; `ended_us`
-- is set by its last report.
CREATE TABLE epoch(
    id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, started_us INTEGER NOT NULL, version TEXT NOT NULL, backend TEXT NOT NULL,
    attach TEXT, method TEXT, settings TEXT NOT NULL, zone TEXT,
    billing_day INTEGER NOT NULL, ended_us INTEGER
) STRICT;

-- kind: 0 user, 1 unattributed, 2 other. A user has an account for each program, unit and class of his that is told apart, and one
-- with none for what is known of no more. A uid that is given to another name is another account.
CREATE TABLE account(
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, uid INTEGER, user TEXT, program TEXT, unit TEXT, class TEXT,
    first_us INTEGER NOT NULL
) STRICT;
-- NULL equals NULL here; no text equals the number that stands for it.
CREATE UNIQUE INDEX account_key
    ON account(kind, ifnull(uid, -1), ifnull(user, 0), ifnull(program, 0), ifnull(unit, 0), ifnull(class, 0));
CREATE INDEX account_nameless ON account(uid) WHERE user IS NULL;

-- The name each uid had when it was last known. A uid that is here has no account without a name.
CREATE TABLE uid(uid INTEGER PRIMARY KEY, user TEXT NOT NULL) STRICT;

CREATE TABLE report(
    epoch INTEGER NOT NULL REFERENCES epoch, seq INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL,
    monotonic_us INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL, health TEXT NOT NULL,
    PRIMARY KEY(epoch, seq)
) STRICT, WITHOUT ROWID;

-- Bytes by account, by five minutes, by hours and days of the zone, and for ever. To be read by the views
-- without `past_`: what is booked into the latest five minutes is in `recent`, so that a report adds to one table instead of four.
-- A row of five minutes has all accounts that moved something in them, as JSON: [[account,sent,received],...], by account.
CREATE TABLE past_fine(start_s INTEGER PRIMARY KEY, accounts TEXT NOT NULL) STRICT;
CREATE TABLE past_hour(
    start_s INTEGER NOT NULL, account INTEGER NOT NULL, sent INTEGER NOT NULL,
    received INTEGER NOT NULL, PRIMARY KEY(start_s, account)
) STRICT, WITHOUT ROWID;
CREATE TABLE past_day(
    date TEXT NOT NULL, account INTEGER NOT NULL, sent INTEGER NOT NULL,
    received INTEGER NOT NULL, PRIMARY KEY(date, account)
) STRICT, WITHOUT ROWID;
CREATE TABLE past_total(account INTEGER PRIMARY KEY, sent INTEGER NOT NULL, received INTEGER NOT NULL) STRICT;

-- What is in none of these yet, and the rows it belongs to: one of each kind, as reckoned by who booked it.
CREATE TABLE recent(account INTEGER PRIMARY KEY, sent INTEGER NOT NULL, received INTEGER NOT NULL) STRICT;
CREATE TABLE recent_row(
    one INTEGER PRIMARY KEY CHECK(one = 1), fine_s INTEGER NOT NULL, hour_s INTEGER NOT NULL, date TEXT NOT NULL
) STRICT;

-- A view may have two rows of a time and account: their sum counts.
CREATE VIEW fine AS
    SELECT start_s, json_extract(value, '$[0]') AS account, json_extract(value, '$[1]') AS sent, json_extract(value, '$[2]') AS received
    FROM past_fine CROSS JOIN json_each(accounts)
    UNION ALL SELECT fine_s, account, sent, received FROM recent_row CROSS JOIN recent;
CREATE VIEW hour AS SELECT * FROM past_hour
    UNION ALL SELECT hour_s, account, sent, received FROM recent_row CROSS JOIN recent;
CREATE VIEW day AS SELECT * FROM past_day
    UNION ALL SELECT date, account, sent, received FROM recent_row CROSS JOIN recent;
CREATE VIEW total AS SELECT * FROM past_total UNION ALL SELECT account, sent, received FROM recent;

-- The kernel's own counters as far as they are booked: unsigned numbers of 64 bits, kept as the signed ones with these bits.
CREATE TABLE baseline(row INTEGER PRIMARY KEY, sent INTEGER NOT NULL, received INTEGER NOT NULL) STRICT;

-- Where the connections stood that were open when the service ended and kept nothing in the kernel: see `struct Stream` of the
-- programs. Good for the host's boot that the last epoch is of. Positions are unsigned, as above.
CREATE TABLE stream(
    sent_base INTEGER NOT NULL, received_base INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL,
    flags INTEGER NOT NULL, PRIMARY KEY(sent_base, received_base)
) STRICT, WITHOUT ROWID;

-- The same of the packet backend: see `struct FlowNote`; `flow_scope` in `meta` says which connections that followed. Addresses have 16 bytes, those of IPv4 in their mapped form; the cookie and
-- totals are unsigned, as above.
CREATE TABLE flow(
    cookie INTEGER PRIMARY KEY, local BLOB NOT NULL, local_port INTEGER NOT NULL, remote BLOB NOT NULL,
    remote_port INTEGER NOT NULL, uid INTEGER, sent INTEGER NOT NULL, received INTEGER NOT NULL,
    sent_total INTEGER NOT NULL, received_total INTEGER NOT NULL
) STRICT;

CREATE TABLE gap(
    epoch INTEGER NOT NULL REFERENCES epoch, from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, cause TEXT NOT NULL
) STRICT;

-- What sinks have still to tell, and how far each has come. `mark` is the sink's own note; NULL until it told something.
CREATE TABLE outbox(epoch INTEGER NOT NULL, seq INTEGER NOT NULL, records TEXT NOT NULL, PRIMARY KEY(epoch, seq)) STRICT;
CREATE TABLE sink(name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, mark TEXT) STRICT, WITHOUT ROWID;

-- Which steps of a quota were told, in percent of its limit, for which month or day (`month 2026-11-15` begins then): each once.
CREATE TABLE quota_step(
    quota TEXT NOT NULL, period TEXT NOT NULL, limit_bytes INTEGER NOT NULL, percent INTEGER NOT NULL,
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(quota, period, limit_bytes, percent)
) STRICT, WITHOUT ROWID;

-- What was counted wrongly, as a person says who was `by_uid`: beside the rows of what was measured, which stay as they are. `date` is
-- the day it is of, `booked` the day it counts on, which is another one where the month of `date` was closed.
CREATE TABLE correction(
    id INTEGER PRIMARY KEY, made_us INTEGER NOT NULL, by_uid INTEGER NOT NULL, date TEXT NOT NULL, booked TEXT NOT NULL,
    account INTEGER NOT NULL REFERENCES account, sent INTEGER NOT NULL, received INTEGER NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE INDEX correction_booked ON correction(booked);

-- Days to which nothing is added any more, from `from_date` up to `to_date`: a month by the billing day of then, or what was open of it. No
-- day is in two of them. With the hash of the text of their rows (book/closing.rs), and the accounts that had
-- no name then: these have none in that text.
CREATE TABLE closed(
    from_date TEXT PRIMARY KEY, to_date TEXT NOT NULL, month TEXT NOT NULL, closed_us INTEGER NOT NULL, by_uid INTEGER NOT NULL,
    zone TEXT NOT NULL, from_s INTEGER NOT NULL, to_s INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL, nameless TEXT NOT NULL, sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Reports of a month that was closed, which are in the five minutes at `row_s` instead.
CREATE TABLE late(
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, row_s INTEGER NOT NULL,
    sent INTEGER NOT NULL, received INTEGER NOT NULL, PRIMARY KEY(epoch, seq)
) STRICT, WITHOUT ROWID;

-- What was taken from logs: reports of a life from one number to another, all from before the book was begun. Their bytes are in the
-- rows above, but not in `total`.
CREATE TABLE imported(
    id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL, zone TEXT NOT NULL, imported_us INTEGER NOT NULL, by_uid INTEGER NOT NULL
) STRICT;
CREATE INDEX imported_report ON imported(epoch, first_seq, last_seq);
