//! The options of `ship`.

use std::path::PathBuf;

use clap::Args;

use crate::command::Command;
use crate::config::ShipInterval;
use crate::ship::Request;

/// The options of `ship`.
#[derive(Debug, Args)]
pub struct ShipArgs {
    /// The program that puts the rows on its standard input into the database
    #[arg(long, value_name = "CMD")]
    exec: PathBuf,

    /// Arguments of the program, after --
    #[arg(value_name = "ARG", last = true)]
    arguments: Vec<String>,

    /// How often to ship what is new
    #[arg(long, value_name = "TIME", default_value = "5m")]
    every: ShipInterval,

    /// Ship what is new and exit
    #[arg(long)]
    once: bool,

    /// Identifier of this host in the database [default: a hash of /etc/machine-id]
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    host: Option<String>,

    /// Folder that keeps how far the book was shipped
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE)]
    state: PathBuf,

    /// The book [default: as configured, else /var/lib/trafcalc/book.db]
    #[arg(long, value_name = "PATH")]
    book: Option<PathBuf>,

    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The default of `--state`.
const DEFAULT_STATE: &str = "/var/lib/trafcalc-ship";

impl From<ShipArgs> for Request {
    fn from(args: ShipArgs) -> Self {
        let ShipArgs { exec, arguments, every, once, host, state, book, config } = args;
        let command = Command { program: exec, arguments };
        Self { book, config, host, state, every: every.get(), is_once: once, command }
    }
}
