//! `trafcalc history export`: what is new in the book since a report, to keep a copy of it elsewhere.

use std::io::Write;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{BookOf, HistoryError};
use crate::answer;
use crate::book::{AccountKey, AccountKind, BookedReport, Closed, Correction, FINE_S, Gap, Reader};
use crate::config::Choice;
use crate::sinks::write_json;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// One object a line.
    Json,
    /// RFC 4180.
    Csv,
}

impl Choice for ExportFormat {
    const ALL: &'static [Self] = &[Self::Json, Self::Csv];

    fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

/// A report, by its epoch and its number in that: `1795470551001/7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct After(i64, i64);

impl FromStr for After {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let both = text.split_once('/').and_then(|(epoch, seq)| Some((epoch.parse().ok()?, seq.parse().ok()?)));
        let both = both.filter(|(epoch, seq): &(i64, i64)| *epoch >= 0 && *seq >= 0);
        both.map(|(epoch, seq)| Self(epoch, seq)).ok_or("not a report such as 1795470551001/7: its epoch and seq")
    }
}

/// A record, with fields in the order of the CSV columns.
#[derive(Default, Serialize)]
struct Fields<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The number of the account in the book, which stays the same if its user gets a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_bytes: Option<i64>,
    /// The cause of a gap, the reason of a correction, or a closed month's hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Value>,
}

const COLUMNS: [&str; 15] = [
    "type",
    "epoch",
    "seq",
    "from",
    "to",
    "account_id",
    "uid",
    "user",
    "unit",
    "program",
    "class",
    "account",
    "sent_bytes",
    "received_bytes",
    "cause",
];

/// Writes records in a format.
struct Writer<'a> {
    out: &'a mut dyn Write,
    format: ExportFormat,
    buffer: Vec<u8>,
}

impl Writer<'_> {
    fn write(&mut self, fields: &Fields<'_>) -> std::io::Result<()> {
        self.buffer.clear();
        match self.format {
            ExportFormat::Json => {
                write_json(fields, &mut self.buffer);
                self.buffer.push(b'\n');
            }
            ExportFormat::Csv => self.buffer.extend_from_slice(csv(fields).as_bytes()),
        }
        self.out.write_all(&self.buffer)
    }
}

fn csv(fields: &Fields<'_>) -> String {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let text = |text: Option<&str>| text.map(answer::csv_name).unwrap_or_default();
    let &Fields {
        epoch, account_id, uid, user, unit, program, class, account, sent_bytes, received_bytes, cause, ..
    } = fields;
    let seq = fields.seq.map(|seq| seq.to_string()).unwrap_or_default();
    let [from, to] = [&fields.from, &fields.to].map(|time| time.clone().unwrap_or_default());
    let columns: [String; COLUMNS.len()] = [
        fields.r#type.to_owned(),
        number(epoch),
        seq,
        from,
        to,
        number(account_id),
        number(uid.map(i64::from)),
        text(user),
        text(unit),
        text(program),
        text(class),
        text(account),
        number(sent_bytes),
        number(received_bytes),
        text(cause),
    ];
    answer::csv_line(columns.into_iter())
}

fn utc(at: SystemTime) -> Option<String> {
    Timestamp::try_from(at).ok().map(|at| format!("{at:.3}"))
}

fn second(second: i64) -> Option<String> {
    Timestamp::from_second(second).ok().map(|at| format!("{at:.3}"))
}

fn signed(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}

/// Writes what is new since the report `after`; without it, all reports in the book.
pub fn export(
    book: &BookOf,
    after: Option<After>,
    format: ExportFormat,
    out: &mut dyn Write,
) -> Result<(), HistoryError> {
    let reader = Reader::open(&book.path()?)?;
    let first = reader.first_report()?.map(|(epoch, seq)| After(epoch, seq));
    if let (Some(after), Some(first)) = (after, first)
        && after < first
    {
        return Err(HistoryError::Removed {
            after: format!("{}/{}", after.0, after.1),
            first: format!("{}/{}", first.0, first.1),
        });
    }
    let mut writer = Writer { out, format, buffer: Vec::new() };
    let written = write_all(&reader, after.unwrap_or(After(0, 0)), &mut writer);
    written.and_then(|()| writer.out.flush().map_err(HistoryError::Output))
}

fn write_all(reader: &Reader, after: After, writer: &mut Writer<'_>) -> Result<(), HistoryError> {
    if writer.format == ExportFormat::Csv {
        let header = answer::csv_line(COLUMNS.map(str::to_owned).into_iter());
        writer.out.write_all(header.as_bytes()).map_err(HistoryError::Output)?;
    }
    let (mut last, mut from_s, mut since) = (after, i64::MAX, None);
    let each = |report: BookedReport| {
        last = After(report.epoch, i64::try_from(report.seq).unwrap_or(i64::MAX));
        from_s = from_s.min(report.row_s());
        since.get_or_insert(report.start);
        flow(writer.write(&report_fields(&report)))
    };
    output(reader.reports_after((after.0, after.1), each)?)?;
    if since.is_some() {
        output(reader.fine_rows(from_s, |start_s, (account, key), bytes| {
            let fields = Fields {
                r#type: "bytes",
                from: second(start_s),
                to: second(start_s + FINE_S),
                sent_bytes: signed(bytes.sent),
                received_bytes: signed(bytes.received),
                ..whose(account, &key)
            };
            flow(writer.write(&fields))
        })?)?;
    }
    // What a person changed after the last report belongs to no report yet, and is exported each time until one has
    // come.
    let until_s = reader.contents()?.until_s;
    let until = Timestamp::from_second(until_s - 1).ok().and_then(|until| until.try_into().ok());
    by_hand(reader, since.or(until).unwrap_or(SystemTime::UNIX_EPOCH), writer)?;
    let next = Fields { r#type: "next", epoch: Some(last.0), seq: u64::try_from(last.1).ok(), ..Fields::default() };
    writer.write(&next).map_err(HistoryError::Output)
}

/// Gaps that end after `since`, and what a person changed since. A correction has its number as `seq`.
fn by_hand(reader: &Reader, since: SystemTime, writer: &mut Writer<'_>) -> Result<(), HistoryError> {
    let since_s = Timestamp::try_from(since).map_or(0, Timestamp::as_second);
    for Gap { from, to, cause } in &reader.gaps(&(since_s..i64::MAX / 1_000_000))? {
        let gap = Fields { r#type: "gap", from: utc(*from), to: utc(*to), cause: Some(cause), ..Fields::default() };
        writer.write(&gap).map_err(HistoryError::Output)?;
    }
    let all = jiff::civil::Date::MIN..jiff::civil::Date::MAX;
    for correction in reader.corrections(&all)?.iter().filter(|correction| correction.made >= since) {
        let Correction { id, date, booked, account, key, change, reason, .. } = correction;
        let fields = Fields {
            r#type: "correction",
            seq: u64::try_from(*id).ok(),
            from: Some(date.to_string()),
            to: Some(booked.to_string()),
            sent_bytes: Some(change.sent),
            received_bytes: Some(change.received),
            cause: Some(reason),
            ..whose(*account, key)
        };
        writer.write(&fields).map_err(HistoryError::Output)?;
    }
    for Closed { seconds, sent, received, sha256, .. } in reader.closed()?.iter().filter(|closed| closed.at >= since) {
        let fields = Fields {
            r#type: "closed",
            from: second(seconds.start),
            to: second(seconds.end),
            sent_bytes: Some(*sent),
            received_bytes: Some(*received),
            cause: Some(sha256),
            ..Fields::default()
        };
        writer.write(&fields).map_err(HistoryError::Output)?;
    }
    Ok(())
}

fn report_fields(report: &BookedReport) -> Fields<'_> {
    let BookedReport { epoch, seq, start, end, bytes, health } = report;
    Fields {
        r#type: "report",
        epoch: Some(*epoch),
        seq: Some(*seq),
        from: utc(*start),
        to: utc(*end),
        sent_bytes: signed(bytes.sent),
        received_bytes: signed(bytes.received),
        health: serde_json::from_str(health).ok(),
        ..Fields::default()
    }
}

fn whose(account_id: i64, key: &AccountKey) -> Fields<'_> {
    let account_id = Some(account_id);
    let account = match key.kind {
        AccountKind::User => None,
        AccountKind::Unattributed => Some("(unattributed)"),
        AccountKind::Other => Some("(other)"),
    };
    let (user, unit, program) = (key.user.as_deref(), key.unit.as_deref(), key.program.as_deref());
    Fields { account_id, uid: key.uid, user, unit, program, class: key.class.as_deref(), account, ..Fields::default() }
}

fn flow(written: std::io::Result<()>) -> ControlFlow<std::io::Error> {
    written.map_or_else(ControlFlow::Break, ControlFlow::Continue)
}

fn output(flow: ControlFlow<std::io::Error>) -> Result<(), HistoryError> {
    match flow {
        ControlFlow::Break(error) => Err(HistoryError::Output(error)),
        ControlFlow::Continue(()) => Ok(()),
    }
}
