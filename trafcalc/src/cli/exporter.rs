//! The options of `exporter`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::exporter::{Collector, Limits, Request, To};

/// The options of `exporter`.
#[derive(Debug, Args)]
pub struct ExporterArgs {
    /// Answer HTTP at this address; every client that can reach it sees the totals of all users
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_ADDRESS)]
    listen: SocketAddr,

    /// Instead rewrite a file with each report, for the textfile collector of `node_exporter`; its name should end in .prom
    #[arg(long, value_name = "FILE", conflicts_with = "listen")]
    textfile: Option<PathBuf>,

    /// Instead push with each report, by OTLP, to a collector such as `http://127.0.0.1:4318`; without TLS
    #[arg(long, value_name = "URL", conflicts_with_all = ["listen", "textfile"])]
    otlp: Option<Collector>,

    /// Limit of users with series of their own; the others are added up as the user (other)
    #[arg(long, value_name = "NUMBER", default_value = "1000")]
    max_users: usize,

    /// Limit, for each user, of accounts that show their unit and program; the others are added up as the user
    #[arg(long, value_name = "NUMBER", default_value = "100")]
    max_accounts: usize,

    /// The book [default: as configured, else /var/lib/trafcalc/book.db]
    #[arg(long, value_name = "PATH")]
    book: Option<PathBuf>,

    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The default of `--listen`.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9469";

impl From<ExporterArgs> for Request {
    fn from(args: ExporterArgs) -> Self {
        let ExporterArgs { listen, textfile, otlp, max_users, max_accounts, book, config } = args;
        let limits = Limits { users: max_users, accounts: max_accounts };
        let to = match (textfile, otlp) {
            (Some(file), _) => To::File(file),
            (None, Some(collector)) => To::Collector(collector),
            (None, None) => To::Address(listen),
        };
        Self { to, limits, book, config }
    }
}
