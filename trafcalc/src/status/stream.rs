//! The lines of the reports socket, as the service writes and its clients read them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::report::{AccountRecord, AccountTotals, ClockStep, GapRecord, Summary};

/// Version of the format. It changes whenever a reader of the former version would err.
pub const SCHEMA: u32 = 1;

/// The shortest time between two samples that a client may ask for, in milliseconds.
pub const MIN_EVERY_MS: u64 = 1_000;
/// The longest one: a day.
pub const MAX_EVERY_MS: u64 = 86_400_000;

/// The first line of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "hello")]
pub struct Hello {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The program's version.
    pub version: Cow<'static, str>,
    /// The epoch, as in the records.
    pub epoch: u64,
    /// Time between two reports, in seconds.
    pub interval_s: f64,
    /// The time zone of days and months, if it has a name; `None` without a book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What accounts are told apart by.
    pub by: Vec<Cow<'static, str>>,
    /// The classes of networks that accounts are told apart by, if they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassOf>,
    /// The backend.
    pub backend: Cow<'static, str>,
    /// The attach mode of the eBPF programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<Cow<'static, str>>,
    /// The method by which they look at connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Cow<'static, str>>,
    /// The only user whose accounts this client sees; `None` means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_uid: Option<u32>,
}

/// A class of networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassOf {
    /// Its name.
    pub name: String,
    /// Whether its bytes are billed.
    pub billed: bool,
}

/// The line that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Asks for samples at least this many milliseconds apart: [`MIN_EVERY_MS`] to `MAX_EVERY_MS`.
    pub every_ms: u64,
}

/// A look at the counters between reports. The first has all accounts, a later one those that moved since the previous
/// sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "sample")]
pub struct Sample {
    /// When, in seconds since the host was started, by a clock that is never set.
    pub at_s: f64,
    /// The sums and the health now; the bytes of its period are those since the last report.
    pub summary: Summary,
    /// What accounts moved since the service was started.
    pub accounts: Vec<AccountTotals>,
    /// Today, `YYYY-MM-DD`, if there is a book. The first sample of another day has all [`booked`](Self::booked) rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Bytes of today and this month, earlier epochs included; only of accounts that moved since the previous sample.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub booked: Vec<Booked>,
}

/// What an account of the book moved. The book knows programs, not processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booked {
    /// The user's number.
    pub uid: Option<u32>,
    /// The user's name; the number if there is none, or it is not known yet.
    pub user: Option<String>,
    /// The name of an account that belongs to no user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Cow<'static, str>>,
    /// The program, if it is told apart and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The systemd unit or container, if it is told apart and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The class of networks, if it is told apart and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Bytes sent today.
    pub sent_bytes_today: u64,
    /// Bytes received today.
    pub received_bytes_today: u64,
    /// Bytes sent this month.
    pub sent_bytes_month: u64,
    /// Bytes received this month.
    pub received_bytes_month: u64,
}

/// What a client missed because it did not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "dropped")]
pub struct Dropped {
    /// Samples. What moved in them is in the totals of the next one.
    pub samples: u64,
    /// Reports. The log and the book have them.
    pub reports: u64,
}

/// Why the connection ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "error")]
pub struct Refusal {
    /// A sentence.
    pub error: Cow<'static, str>,
}

/// Any line.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The first one.
    Hello(Box<Hello>),
    /// A look between reports.
    Sample(Box<Sample>),
    /// A record of a report.
    Account(Box<AccountRecord>),
    /// The last record of a report.
    Summary(Box<Summary>),
    /// A record of a report.
    Gap(GapRecord),
    /// A record of a report.
    Clock(ClockStep),
    /// Samples or reports were dropped.
    Dropped(Dropped),
    /// The connection ends.
    Refusal(Refusal),
    /// A line of a later version.
    Unknown,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

impl Message {
    /// Reads a line.
    ///
    /// # Errors
    /// It is no line of a service.
    pub fn parse(line: &str) -> serde_json::Result<Self> {
        fn of<T: serde::de::DeserializeOwned>(line: &str) -> serde_json::Result<T> {
            serde_json::from_str(line)
        }
        Ok(match serde_json::from_str::<Kind<'_>>(line)?.kind.as_ref() {
            "hello" => Self::Hello(of(line)?),
            "sample" => Self::Sample(of(line)?),
            "account" => Self::Account(of(line)?),
            "summary" => Self::Summary(of(line)?),
            "gap" => Self::Gap(of(line)?),
            "clock" => Self::Clock(of(line)?),
            "dropped" => Self::Dropped(of(line)?),
            "error" => Self::Refusal(of(line)?),
            _ => Self::Unknown,
        })
    }
}
