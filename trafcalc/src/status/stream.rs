//! The lines of the reports socket, as they are written by the service and read by its clients.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::report::{AccountRecord, AccountTotals, ClockStep, GapRecord, Summary};

/// Version of what is told. A change by which a reader of the former version would err makes it another.
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
    /// Of the program.
    pub version: Cow<'static, str>,
    /// One life of the counting, as in its records.
    pub epoch: u64,
    /// Time between two reports, in seconds.
    pub interval_s: f64,
    /// What days and months are reckoned in, where it has a name; nothing if there is no book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What accounts are told apart by.
    pub by: Vec<Cow<'static, str>>,
    /// The classes of networks that accounts are told apart by; none if they are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassOf>,
    /// Who counts.
    pub backend: Cow<'static, str>,
    /// How the eBPF program is hooked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<Cow<'static, str>>,
    /// How the eBPF program comes to look at connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Cow<'static, str>>,
    /// The only user whose accounts this client is told of; nothing: all.
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
    /// Samples are wanted, at least so many milliseconds apart: [`MIN_EVERY_MS`] to `MAX_EVERY_MS`.
    pub every_ms: u64,
}

/// A look at the counters between reports. The first one tells of all accounts, a later one of those that moved since the one before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "sample")]
pub struct Sample {
    /// When, in seconds since the host was started, by a clock that is never set.
    pub at_s: f64,
    /// The sums and the health at this moment; its bytes of a period are those since the last report.
    pub summary: Summary,
    /// What accounts moved since the service was started.
    pub accounts: Vec<AccountTotals>,
    /// Today, `YYYY-MM-DD`, where there is a book. A sample of another day than the one before it tells of all that is [`booked`](Self::booked).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// What moved today and in this month, also in former lives of the service; those that moved since the sample before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub booked: Vec<Booked>,
}

/// What an account of the book moved. Of processes it knows the programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booked {
    /// The user's number.
    pub uid: Option<u32>,
    /// The user's name; the number where there is no name, or none is known yet.
    pub user: Option<String>,
    /// The name of an account that belongs to no user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Cow<'static, str>>,
    /// The program, where it is told apart and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The systemd unit or container, where it is told apart and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The class of networks, where it is told apart and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Bytes sent today.
    pub sent_bytes_today: u64,
    /// Bytes received today.
    pub received_bytes_today: u64,
    /// Bytes sent in this month.
    pub sent_bytes_month: u64,
    /// Bytes received in this month.
    pub received_bytes_month: u64,
}

/// What a client that did not read was not told.
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
    /// Something was not told.
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
    /// It is none of a service.
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
