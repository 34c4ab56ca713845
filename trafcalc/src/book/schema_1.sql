-- The book, version 1. Never edited once released: what changes is a further file, and a further entry in schema.rs.
-- Names end in their units: _us are microseconds since 1970, _s are seconds since 1970. Bytes are payload.

-- Facts about the book itself: 'begun_us', and 'map', the kernel map that the rows of `baseline` were read from.
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

-- A life of the service. `zone` is what its hours and days are reckoned in; `ended_us` is set by its last report.
CREATE TABLE epoch(
    id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, started_us INTEGER NOT NULL, version TEXT NOT NULL, backend TEXT NOT NULL,
    attach TEXT, method TEXT, settings TEXT NOT NULL, zone TEXT, ended_us INTEGER
) STRICT;

-- kind: 0 user, 1 unattributed, 2 other. A user has an account for each program and unit of his that is told apart, and one with
-- neither for what is known of no more. A uid that is given to another name is another account.
CREATE TABLE account(
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, uid INTEGER, user TEXT, program TEXT, unit TEXT, first_us INTEGER NOT NULL
) STRICT;
-- NULL equals NULL here; no text equals the number that stands for it.
CREATE UNIQUE INDEX account_key
    ON account(kind, ifnull(uid, -1), ifnull(user, 0), ifnull(program, 0), ifnull(unit, 0));
CREATE INDEX account_nameless ON account(uid) WHERE user IS NULL;

-- The name each uid had when it was last known. A uid that is here has no account without a name.
CREATE TABLE uid(uid INTEGER PRIMARY KEY, user TEXT NOT NULL) STRICT;

CREATE TABLE report(
    epoch INTEGER NOT NULL REFERENCES epoch, seq INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL,
    monotonic_us INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL, health TEXT NOT NULL,
    PRIMARY KEY(epoch, seq)
) STRICT, WITHOUT ROWID;

-- Bytes by account and class (0: no classes), by five minutes, by hours and days of the zone, and for ever.
CREATE TABLE fine(
    start_s INTEGER NOT NULL, account INTEGER NOT NULL, class INTEGER NOT NULL, sent INTEGER NOT NULL,
    received INTEGER NOT NULL, PRIMARY KEY(start_s, account, class)
) STRICT, WITHOUT ROWID;
CREATE TABLE hour(
    start_s INTEGER NOT NULL, account INTEGER NOT NULL, class INTEGER NOT NULL, sent INTEGER NOT NULL,
    received INTEGER NOT NULL, PRIMARY KEY(start_s, account, class)
) STRICT, WITHOUT ROWID;
CREATE TABLE day(
    date TEXT NOT NULL, account INTEGER NOT NULL, class INTEGER NOT NULL, sent INTEGER NOT NULL,
    received INTEGER NOT NULL, PRIMARY KEY(date, account, class)
) STRICT, WITHOUT ROWID;
CREATE TABLE total(
    account INTEGER NOT NULL, class INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL,
    PRIMARY KEY(account, class)
) STRICT, WITHOUT ROWID;

-- The kernel's own counters as far as they are booked: unsigned numbers of 64 bits, kept as the signed ones with these bits.
CREATE TABLE baseline(row INTEGER PRIMARY KEY, sent INTEGER NOT NULL, received INTEGER NOT NULL) STRICT;

-- Where the connections stood that were open when the service ended and kept nothing in the kernel: see `struct Stream` of the
-- programs. Good for the host's boot that the last epoch is of. Positions are unsigned, as above.
CREATE TABLE stream(
    sent_base INTEGER NOT NULL, received_base INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL,
    flags INTEGER NOT NULL, PRIMARY KEY(sent_base, received_base)
) STRICT, WITHOUT ROWID;

CREATE TABLE gap(
    epoch INTEGER NOT NULL REFERENCES epoch, from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, cause TEXT NOT NULL
) STRICT;

-- What sinks have still to tell, and how far each has come. `mark` is the sink's own note; NULL until it told something.
CREATE TABLE outbox(epoch INTEGER NOT NULL, seq INTEGER NOT NULL, records TEXT NOT NULL, PRIMARY KEY(epoch, seq)) STRICT;
CREATE TABLE sink(name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, mark TEXT) STRICT, WITHOUT ROWID;
