//! What a running service tells those who connect to its two sockets, and their ends of them.
//!
//! At the status socket it writes one JSON object about itself to each connection and closes it: `trafcalc status`. At the reports
//! socket it writes lines: what it is, the records of each report, and samples in between for those who ask for them: `trafcalc top`.
//! One thread serves both. It never waits for a client, and tells nobody of accounts that he may not see.
//!
//! The status is far shorter than a new connection's buffer, so it is one write that cannot block. Clients of the reports socket have a
//! bounded queue each; a client that has not read what came before has the next sample dropped, which loses nothing because samples are
//! totals. Who may see what is decided once, when a client connects, from what the kernel says of it (`SO_PEERCRED`, `SO_PEERGROUPS`), and
//! each record passes through that view. Nothing that a client sends is compared with anything but the period that it asks for.

mod audience;
mod changes;
mod client;
mod cost;
mod follow;
mod latest;
mod reader;
mod readers;
mod server;
mod socket;
mod stream;
mod table;
mod verdict;
mod view;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::report::Summary;
use crate::sinks::Condition;

pub use audience::{Audience, SetEvery};
pub use changes::Look;
pub use client::{AskError, ask};
pub use cost::Cost;
pub use follow::Following;
pub use latest::Latest;
pub use server::{Sockets, Told, serve};
pub use socket::{For, Socket, SocketError, SocketName};
pub use stream::{Booked, ClassOf, Dropped, Hello, MIN_EVERY_MS, Message, Refusal, Request, SCHEMA, Sample};
pub use table::{backend, table};

/// What the service tells. Fields that came after the first release have a default, so that this program can ask an older service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: Cow<'static, str>,
    /// Process id of the service.
    pub pid: u32,
    /// What the service itself takes from the host.
    #[serde(flatten)]
    pub cost: Cost,
    /// What the service may still do: capabilities, its user, what else restricts it.
    #[serde(default)]
    pub privileges: String,
    /// How old the summary is, in seconds.
    pub age_s: f64,
    /// Time between two reports, in seconds: the summary is never much older in a service that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_interval_s: Option<f64>,
    /// How long the service's loop kept an event waiting at most, in milliseconds, without what the backend took.
    #[serde(default)]
    pub loop_longest_wait_ms: f64,
    /// How the log does.
    pub log: Condition,
    /// How the book does, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub book: Option<Condition>,
    /// Totals and health as in the log's summary, or later ones; the bytes of its period are those since a report.
    pub summary: Summary,
}

impl Status {
    /// Of this process, now. It reports every `report_interval_s` seconds.
    #[must_use]
    pub fn new(
        latest: &Latest,
        report_interval_s: f64,
        privileges: &str,
        log: Condition,
        book: Option<Condition>,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            cost: Cost::read(),
            privileges: privileges.to_owned(),
            age_s: latest.age().as_secs_f64(),
            report_interval_s: Some(report_interval_s),
            loop_longest_wait_ms: latest.longest_wait().as_secs_f64() * 1_000.0,
            log,
            book,
            summary: latest.get(),
        }
    }

    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("plain data can be written") + "\n"
    }
}
