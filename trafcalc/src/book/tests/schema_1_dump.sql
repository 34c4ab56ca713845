-- A book as version 1 writes it. Changed together with schema_1.sql until the first release, and never after it: then it keeps migrations
-- honest.
PRAGMA application_id=1953654371;
PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE account(
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, uid INTEGER, user TEXT, program TEXT, unit TEXT, class TEXT,
    first_us INTEGER NOT NULL
) STRICT;
INSERT INTO "account" VALUES(1,0,1000,'ada',NULL,NULL,NULL,1795600060000000);
INSERT INTO "account" VALUES(2,0,0,'root','sshd','ssh.service','lan',1795600120000000);
CREATE TABLE baseline(row INTEGER PRIMARY KEY, sent INTEGER NOT NULL, received INTEGER NOT NULL) STRICT;
INSERT INTO "baseline" VALUES(3,100,200);
CREATE TABLE past_day(
    date TEXT NOT NULL, account INTEGER NOT NULL, sent INTEGER NOT NULL,
    received INTEGER NOT NULL, PRIMARY KEY(date, account)
) STRICT, WITHOUT ROWID;
INSERT INTO "past_day" VALUES('2026-11-25',1,100,200);
CREATE TABLE epoch(
    id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, started_us INTEGER NOT NULL, version TEXT NOT NULL, backend TEXT NOT NULL,
    attach TEXT, method TEXT, settings TEXT NOT NULL, zone TEXT,
    billing_day INTEGER NOT NULL, ended_us INTEGER
) STRICT;
INSERT INTO "epoch" VALUES(1795600000,'boot 1',1795600000000000,'0.2.0','ebpf','tracepoint','sweep','{"by":["user","unit"]}','Asia/Kolkata',1,1795600120000000);
CREATE TABLE past_fine(start_s INTEGER PRIMARY KEY, accounts TEXT NOT NULL) STRICT;
INSERT INTO "past_fine" VALUES(1795599900,'[[1,100,200]]');
CREATE TABLE stream(
    sent_base INTEGER NOT NULL, received_base INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL,
    flags INTEGER NOT NULL, PRIMARY KEY(sent_base, received_base)
) STRICT, WITHOUT ROWID;
CREATE TABLE flow(
    cookie INTEGER PRIMARY KEY, local BLOB NOT NULL, local_port INTEGER NOT NULL, remote BLOB NOT NULL,
    remote_port INTEGER NOT NULL, uid INTEGER, sent INTEGER NOT NULL, received INTEGER NOT NULL,
    sent_total INTEGER NOT NULL, received_total INTEGER NOT NULL
) STRICT;
CREATE TABLE gap(
    epoch INTEGER NOT NULL REFERENCES epoch, from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, cause TEXT NOT NULL
) STRICT;
INSERT INTO "gap" VALUES(1795600000,1795599000000000,1795600000000000,'stopped');
CREATE TABLE past_hour(
    start_s INTEGER NOT NULL, account INTEGER NOT NULL, sent INTEGER NOT NULL,
    received INTEGER NOT NULL, PRIMARY KEY(start_s, account)
) STRICT, WITHOUT ROWID;
INSERT INTO "past_hour" VALUES(1795599000,1,100,200);
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('begun_us',1795600000000000);
INSERT INTO "meta" VALUES('map','map 1');
CREATE TABLE outbox(epoch INTEGER NOT NULL, seq INTEGER NOT NULL, records TEXT NOT NULL, PRIMARY KEY(epoch, seq)) STRICT;
INSERT INTO "outbox" VALUES(1795600000,2,'type=account user=root unit=ssh.service sent_bytes=7
');
CREATE TABLE recent(account INTEGER PRIMARY KEY, sent INTEGER NOT NULL, received INTEGER NOT NULL) STRICT;
INSERT INTO "recent" VALUES(2,7,0);
CREATE TABLE recent_row(
    one INTEGER PRIMARY KEY CHECK(one = 1), fine_s INTEGER NOT NULL, hour_s INTEGER NOT NULL, date TEXT NOT NULL
) STRICT;
INSERT INTO "recent_row" VALUES(1,1795599900,1795599000,'2026-11-25');
CREATE TABLE report(
    epoch INTEGER NOT NULL REFERENCES epoch, seq INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL,
    monotonic_us INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL, health TEXT NOT NULL,
    PRIMARY KEY(epoch, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "report" VALUES(1795600000,1,1795600000000000,1795600060000000,60000012,100,200,'{}');
INSERT INTO "report" VALUES(1795600000,2,1795600060000000,1795600120000000,59999990,7,0,'{"lost_events":3}');
CREATE TABLE sink(name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, mark TEXT) STRICT, WITHOUT ROWID;
INSERT INTO "sink" VALUES('log',1795600000,1,'1234 5678');
CREATE TABLE quota_step(
    quota TEXT NOT NULL, period TEXT NOT NULL, limit_bytes INTEGER NOT NULL, percent INTEGER NOT NULL,
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(quota, period, limit_bytes, percent)
) STRICT, WITHOUT ROWID;
CREATE TABLE correction(
    id INTEGER PRIMARY KEY, made_us INTEGER NOT NULL, by_uid INTEGER NOT NULL, date TEXT NOT NULL, booked TEXT NOT NULL,
    account INTEGER NOT NULL REFERENCES account, sent INTEGER NOT NULL, received INTEGER NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE INDEX correction_booked ON correction(booked);
CREATE TABLE closed(
    from_date TEXT PRIMARY KEY, to_date TEXT NOT NULL, month TEXT NOT NULL, closed_us INTEGER NOT NULL, by_uid INTEGER NOT NULL,
    zone TEXT NOT NULL, from_s INTEGER NOT NULL, to_s INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL, nameless TEXT NOT NULL, sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE late(
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, row_s INTEGER NOT NULL,
    sent INTEGER NOT NULL, received INTEGER NOT NULL, PRIMARY KEY(epoch, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE imported(
    id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL, zone TEXT NOT NULL, imported_us INTEGER NOT NULL, by_uid INTEGER NOT NULL
) STRICT;
CREATE INDEX imported_report ON imported(epoch, first_seq, last_seq);
CREATE TABLE past_total(account INTEGER PRIMARY KEY, sent INTEGER NOT NULL, received INTEGER NOT NULL) STRICT;
INSERT INTO "past_total" VALUES(1,100,200);
CREATE TABLE uid(uid INTEGER PRIMARY KEY, user TEXT NOT NULL) STRICT;
INSERT INTO "uid" VALUES(0,'root');
INSERT INTO "uid" VALUES(1000,'ada');
CREATE VIEW fine AS
    SELECT start_s, json_extract(value, '$[0]') AS account, json_extract(value, '$[1]') AS sent, json_extract(value, '$[2]') AS received
    FROM past_fine CROSS JOIN json_each(accounts)
    UNION ALL SELECT fine_s, account, sent, received FROM recent_row CROSS JOIN recent;
CREATE VIEW hour AS SELECT * FROM past_hour
    UNION ALL SELECT hour_s, account, sent, received FROM recent_row CROSS JOIN recent;
CREATE VIEW day AS SELECT * FROM past_day
    UNION ALL SELECT date, account, sent, received FROM recent_row CROSS JOIN recent;
CREATE VIEW total AS SELECT * FROM past_total UNION ALL SELECT account, sent, received FROM recent;
CREATE UNIQUE INDEX account_key
    ON account(kind, ifnull(uid, -1), ifnull(user, 0), ifnull(program, 0), ifnull(unit, 0), ifnull(class, 0));
CREATE INDEX account_nameless ON account(uid) WHERE user IS NULL;
COMMIT;
