//! `trafcalc history import-log`: imports a log of the time before the book was begun.
//!
//! The log is read twice, because a user's name may come after bytes under the user's number.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use nix::fcntl::OFlag;

use later_names::{LaterNames, is_number};

use super::{BookOf, HistoryError};
use crate::book::{AccountKey, AccountKind, Editor, Import, Imported, LoggedReport, Moved, Reader};
use crate::capture::Bytes;
use crate::records::Record;

mod later_names;

/// Accounts of reports that are booked at once, so that the service does not wait for long.
const ACCOUNTS_AT_ONCE: usize = 2_000;

/// Longest line that is read: a record has some hundred bytes, and names some more.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Most accounts of a report: twice as many as the service tells one by one.
const MAX_ACCOUNTS: usize = 131_072;

/// What is wrong with a log.
#[derive(Default)]
struct Trouble {
    /// Lines that are too long.
    long: u64,
    /// Lines that are no record.
    lines: u64,
    /// Reports that are incomplete or do not add up.
    reports: u64,
}

/// Imports `file`; returns the text for the user.
pub fn import_log(book: &BookOf, file: &Path, by_uid: u32, now: Timestamp) -> Result<String, HistoryError> {
    let path = book.path()?;
    let zone = Reader::open(&path)?.contents()?.zone().ok_or(HistoryError::NoZone)?;
    let file_error = |source| HistoryError::File { path: file.to_owned(), doing: "reading it", source };
    let mut log = BufReader::new(open(file).map_err(file_error)?);
    let mut reading = Reading { later: later_names(&mut log).map_err(file_error)?, ..Reading::default() };
    let mut editor = Editor::open(&path)?;
    let now = now.try_into().unwrap_or(SystemTime::UNIX_EPOCH);
    let import = Import { zone: &zone, by_uid, now };
    let (mut waiting, mut accounts, mut all) = (Vec::new(), 0, Imported::default());
    let mut importing = editor.import(&import);
    let mut line = Vec::new();
    loop {
        let found = next_line(&mut log, &mut line).map_err(file_error)?;
        let is_end = found == Found::End;
        reading.at += 1;
        match found {
            Found::Line => {
                if let Some(report) = reading.line(&line) {
                    accounts += report.moved.len() + 1;
                    waiting.push(report);
                }
            }
            Found::LongLine => reading.trouble.long += 1,
            Found::End => {}
        }
        if is_end || accounts > ACCOUNTS_AT_ONCE {
            importing.book(&waiting, &mut all)?;
            (waiting, accounts) = (Vec::new(), 0);
        }
        if is_end {
            break;
        }
    }
    reading.end();
    Ok(told(&all, &reading.trouble))
}

/// Opens a file that can be read twice: a pipe, as from zcat, is first copied to a file without a name.
fn open(path: &Path) -> io::Result<File> {
    let mut log = File::open(path)?;
    if log.metadata()?.is_file() {
        return Ok(log);
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(OFlag::O_TMPFILE.bits());
    let mut copy = options.open(std::env::temp_dir())?;
    io::copy(&mut log, &mut copy)?;
    copy.rewind()?;
    Ok(copy)
}

/// Reads the names in a log, and goes back to its beginning.
fn later_names(log: &mut BufReader<File>) -> io::Result<LaterNames> {
    let (mut names, mut line, mut at) = (LaterNames::default(), Vec::new(), 0);
    loop {
        let found = next_line(log, &mut line)?;
        at += 1;
        let record = std::str::from_utf8(&line).ok().filter(|_| found == Found::Line).and_then(Record::read);
        if let Some(record) = record.filter(|record| record.kind() == "account") {
            names.note(at, &record);
        }
        if found == Found::End {
            log.rewind()?;
            return Ok(names);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Line,
    /// One of more than [`MAX_LINE_BYTES`], which is skipped.
    LongLine,
    End,
}

/// Reads a line. Of one that is too long, nothing is kept.
fn next_line(log: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Found> {
    line.clear();
    log.take(MAX_LINE_BYTES).read_until(b'\n', line)?;
    if line.is_empty() {
        return Ok(Found::End);
    }
    // The last line of a file may lack its newline.
    if line.ends_with(b"\n") || (line.len() as u64) < MAX_LINE_BYTES {
        return Ok(Found::Line);
    }
    line.clear();
    log.skip_until(b'\n')?;
    Ok(Found::LongLine)
}

fn told(all: &Imported, trouble: &Trouble) -> String {
    let Imported { reports, bytes: (sent, received), nameless_bytes, known, own, closed } = all;
    let mut told = format!("{reports} reports imported: {sent} bytes sent, {received} received\n");
    for (number, what) in [
        (*nameless_bytes, "bytes are of users whom the log has by number alone, and are booked by the number"),
        (*known, "reports were imported before"),
        (*own, "reports are of the time since the book was begun, which has them itself"),
        (*closed, "reports are of a closed month, to which nothing is added"),
        (trouble.reports, "reports are not whole or do not add up, and were left out"),
        (trouble.lines, "lines are no records of trafcalc, and were left out"),
        (trouble.long, "lines have more than 1 MiB, and were left out"),
    ] {
        if number > 0 {
            told = told + &number.to_string() + " " + what + "\n";
        }
    }
    told
}

/// Assembles reports from records: accounts come first, a summary last.
#[derive(Default)]
struct Reading {
    /// The report of these accounts.
    of: Option<(i64, u64)>,
    moved: Vec<Moved>,
    trouble: Trouble,
    /// The number of the line, from 1 on.
    at: u64,
    later: LaterNames,
}

impl Reading {
    /// Takes a line; returns the report that it ends.
    fn line(&mut self, line: &[u8]) -> Option<LoggedReport> {
        let record = std::str::from_utf8(line).ok().and_then(Record::read);
        let Some(record) = record else {
            self.trouble.lines += 1;
            return None;
        };
        let of = record.number("epoch").and_then(|epoch| i64::try_from(epoch).ok()).zip(record.number("seq"));
        match (record.kind().as_str(), of) {
            ("account", Some(of)) => {
                self.begin(of);
                match moved(&record, self.later.of(self.at, &record)).filter(|_| self.moved.len() < MAX_ACCOUNTS) {
                    Some(moved) => self.moved.push(moved),
                    // Then the report does not add up.
                    None => self.trouble.lines += 1,
                }
                None
            }
            ("summary", Some(of)) => {
                self.begin(of);
                let moved = std::mem::take(&mut self.moved);
                self.of = None;
                let report = report(&record, of, moved);
                self.trouble.reports += u64::from(report.is_none());
                report
            }
            ("clock" | "gap" | "quota", _) => None,
            _ => {
                self.trouble.lines += 1;
                None
            }
        }
    }

    fn begin(&mut self, of: (i64, u64)) {
        if self.of != Some(of) {
            self.end();
            self.of = Some(of);
        }
    }

    /// A report without a summary is incomplete.
    fn end(&mut self) {
        self.trouble.reports += u64::from(self.of.is_some());
        (self.of, self.moved) = (None, Vec::new());
    }
}

/// The bytes of an account. `later` is its user's name, if the log has that only later.
fn moved(record: &Record, later: Option<&str>) -> Option<Moved> {
    let bytes = Bytes { sent: record.number("sent_bytes")?, received: record.number("received_bytes")? };
    let kind = match record.text("account").as_deref() {
        None => AccountKind::User,
        Some("(unattributed)") => AccountKind::Unattributed,
        Some("(other)") => AccountKind::Other,
        Some(_) => return None,
    };
    let uid = record.text("uid").map(|uid| uid.parse()).transpose().ok()?;
    let (user, program, unit) = (record.text("user"), record.text("program"), record.text("unit"));
    let is_user = kind == AccountKind::User;
    if is_user && (uid.is_none() || user.is_none()) {
        return None;
    }
    let (uid, user) = if is_user { (uid, user) } else { (None, None) };
    // Without a name the number stays, because another user may have been given it since.
    let is_nameless = uid.zip(user.as_deref()).is_some_and(|(uid, user)| is_number(user, uid));
    let user = later.filter(|_| is_nameless).map(str::to_owned).or(user);
    let (program, unit, class) = (program.map(Into::into), unit.map(Into::into), record.text("class").map(Into::into));
    let account = AccountKey { kind, uid, user, program, unit, class };
    Some(Moved { account, bytes })
}

/// The report of a summary, if it adds up.
fn report(summary: &Record, (epoch, seq): (i64, u64), moved: Vec<Moved>) -> Option<LoggedReport> {
    let end: Timestamp = summary.text("time")?.parse().ok()?;
    let end: SystemTime = end.try_into().ok()?;
    let length = Duration::try_from_secs_f64(summary.text("interval_s")?.parse().ok()?).ok()?;
    let sum = |of: fn(&Bytes) -> u64| moved.iter().map(|moved| of(&moved.bytes)).try_fold(0, u64::checked_add);
    let is_whole = sum(|bytes| bytes.sent) == Some(summary.number("sent_bytes")?)
        && sum(|bytes| bytes.received) == Some(summary.number("received_bytes")?);
    is_whole.then_some(LoggedReport { epoch, seq, start: end.checked_sub(length)?, end, moved })
}
