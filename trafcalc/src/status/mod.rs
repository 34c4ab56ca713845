//! What a running service sends to the clients of its two sockets, and the code of both ends.
//!
//! On the status socket it writes one JSON object about itself to each connection and closes it (`trafcalc status`). On
//! the reports socket it writes lines: a greeting, the records of each report, and, on request, samples in between
//! (`trafcalc top`). One thread serves both. It never waits for a client, nor sends it accounts that it may not see.
//!
//! The status is far shorter than a new connection's buffer, so it is one write that cannot block. Each client of the
//! reports socket has a bounded queue. While a client has not read what came before, its samples are dropped, which
//! loses nothing because samples are totals. What a client may see is decided once, when it connects, by its
//! credentials in the kernel (`SO_PEERCRED`, `SO_PEERGROUPS`), and each record passes through that view. A client's
//! input decides nothing but the period of its samples.

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

/// The status of a service. Fields added after the first release have a default, so that this program understands an
/// older service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: Cow<'static, str>,
    /// Process id of the service.
    pub pid: u32,
    /// What the service itself costs the host.
    #[serde(flatten)]
    pub cost: Cost,
    /// What the service may still do: capabilities, user, other restrictions.
    #[serde(default)]
    pub privileges: String,
    /// How old the summary is, in seconds.
    pub age_s: f64,
    /// Time between two reports, in seconds. While the service counts, the summary is never much older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_interval_s: Option<f64>,
    /// The longest time that the loop kept an event waiting, in milliseconds, without the backend's time.
    #[serde(default)]
    pub loop_longest_wait_ms: f64,
    /// The condition of the log.
    pub log: Condition,
    /// The condition of the book, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub book: Option<Condition>,
    /// Totals and health as in the log's last summary, or newer; the bytes of its period are those since a report.
    pub summary: Summary,
}

impl Status {
    /// The status of this process now. It reports every `report_interval_s` seconds.
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
