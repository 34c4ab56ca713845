//! The options of `alert`.

use std::path::PathBuf;

use clap::Args;

use crate::alert::Request;
use crate::command::Command;

/// The options of `alert`.
#[derive(Debug, Args)]
pub struct AlertArgs {
    /// The program to run
    #[arg(long, value_name = "CMD")]
    exec: PathBuf,

    /// Arguments of the program, after --
    #[arg(value_name = "ARG", last = true)]
    arguments: Vec<String>,

    /// The log, in either format; - is standard input [default: as configured, else /var/log/traffic]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// File that keeps the position in the log; if it does not exist, alerts start with new records
    #[arg(long, value_name = "FILE", default_value = DEFAULT_STATE)]
    state: PathBuf,

    /// Process the existing records and exit, instead of waiting for more
    #[arg(long)]
    once: bool,

    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where `alert` keeps its position in the log.
const DEFAULT_STATE: &str = "/var/lib/trafcalc-alert/state.json";

impl From<AlertArgs> for Request {
    fn from(args: AlertArgs) -> Self {
        let AlertArgs { exec, arguments, log, state, once, config } = args;
        let command = Command { program: exec, arguments };
        Self { log, config, state, is_once: once, command }
    }
}
