//! The options of `selftest`, and those of its traffic.

use clap::{Args, Subcommand};

use crate::capture::Attach;
use crate::config::{Backend, MethodChoice};
use crate::selftest;

/// The options of `selftest`.
#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// The backend to test [default: auto, each that starts]
    #[arg(long, value_name = "BACKEND")]
    pub backend: Option<Backend>,

    /// The attach mode of the eBPF backend to test [default: each that attaches]
    #[arg(long, value_name = "MODE")]
    pub attach: Option<Attach>,

    /// When the eBPF programs read connections: before each report, or also at each send and read [default: auto]
    #[arg(long, value_name = "METHOD")]
    pub method: Option<MethodChoice>,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// The hidden options of the self-test's traffic.
#[derive(Debug, Args)]
pub struct TrafficArgs {
    /// Name of the scenario
    scenario: String,
    /// The user to be
    uid: u32,
    /// How long it keeps each connection beyond its bytes
    hold_ms: u64,
    /// Which end
    #[command(subcommand)]
    role: TrafficRole,
}

/// Which end of the self-test's connections.
#[derive(Clone, Copy, Debug, Subcommand)]
enum TrafficRole {
    /// Connects and sends
    Send {
        /// Where the receiver listens
        port: u16,
    },
    /// Listens and receives
    Receive,
}

impl From<TrafficArgs> for selftest::Program {
    fn from(args: TrafficArgs) -> Self {
        let role = match args.role {
            TrafficRole::Send { port } => selftest::Role::Send { port },
            TrafficRole::Receive => selftest::Role::Receive,
        };
        Self { scenario: args.scenario, role, uid: args.uid, hold_ms: args.hold_ms }
    }
}
