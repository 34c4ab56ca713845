//! `trafcalc status`: what a running service tells about itself, to whoever may connect to its socket.
//!
//! The service writes one JSON object to each connection and closes it. It never reads from one and never waits for
//! one, so nobody can hold it up; and it never tells who moved how much, which is for the log and its readers.

mod answering;
mod client;
mod cost;
mod socket;
mod table;

use serde::Serialize;

use crate::report::Summary;
use crate::sinks::Condition;

pub use answering::{Latest, answer};
pub use client::{AskError, ask};
pub use cost::Cost;
pub use socket::{Socket, SocketError, SocketName};
pub use table::table;

/// What the service tells.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Of the program.
    pub version: &'static str,
    /// Process id of the service.
    pub pid: u32,
    /// What the service itself takes from the host.
    #[serde(flatten)]
    pub cost: Cost,
    /// How old the summary is, in seconds.
    pub age_s: f64,
    /// How long the service's loop kept an event waiting at most, in milliseconds, without what the backend took.
    pub loop_longest_wait_ms: f64,
    /// How the log does.
    pub log: Condition,
    /// How the book does, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub book: Option<Condition>,
    /// Totals and health as in the log's summary, or later ones; the bytes of its period are those since a report.
    pub summary: Summary,
}

impl Status {
    /// Of this process, now.
    #[must_use]
    pub fn new(latest: &Latest, log: Condition, book: Option<Condition>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            cost: Cost::read(),
            age_s: latest.age().as_secs_f64(),
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
