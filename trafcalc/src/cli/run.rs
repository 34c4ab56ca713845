//! The options of `run`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use crate::capture::{Attach, CreditTo, Dimension};
use crate::config::{Backend, BaseName, Format, Interval, Keep, MethodChoice, Only, Overrides, Pid, RunTime};

/// The options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where bytes are counted [default: auto, the first that starts]
    #[arg(long, value_name = "BACKEND")]
    backend: Option<Backend>,

    /// How the eBPF programs are attached [default: the first that attaches]
    #[arg(long, value_name = "MODE")]
    attach: Option<Attach>,

    /// When the eBPF programs read connections: before each report, or also at each send and read [default: auto]
    #[arg(long, value_name = "METHOD")]
    method: Option<MethodChoice>,

    /// Time between two reports, 100ms to 1d [default: 1m]
    #[arg(long, value_name = "TIME")]
    interval: Option<Interval>,

    /// Stop after this time, with a last report [default: run until stopped]
    #[arg(long, value_name = "TIME")]
    duration: Option<RunTime>,

    /// File that reports are appended to; - is standard output [default: /var/log/traffic]
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,

    /// The format of records [default: logfmt]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// The book, a database that keeps the accounts; none: no book [default: /var/lib/trafcalc/book.db, and none with --log -]
    #[arg(long, value_name = "PATH")]
    book: Option<PathBuf>,

    /// Socket for status; empty: none [default: /run/trafcalc/status.sock]
    #[arg(long, value_name = "PATH", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    status_socket: Option<PathBuf>,

    /// Socket for top and other readers; empty: none [default: /run/trafcalc/reports.sock]
    #[arg(long, value_name = "PATH", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    reports_socket: Option<PathBuf>,

    /// Who keeps eBPF programs and counters for the next process: systemd, or a folder of a BPF file system [default: none; counting ends]
    #[arg(long, value_name = "systemd|DIR")]
    keep: Option<Keep>,

    /// Also count connections with both ends on this host
    #[arg(long)]
    loopback: bool,

    /// How accounts are split, several as in program,unit; always by user, too [default: user]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<Dimension>,

    /// Who is credited: the socket's user, or the user as whom a process acts [default: socket]
    #[arg(long, value_name = "WHOSE")]
    owner: Option<CreditTo>,

    #[command(flatten)]
    only: OnlyArgs,
}

/// Filters: options that may be given several times, or with several values.
#[derive(Debug, Args)]
struct OnlyArgs {
    /// Count only this user, or these users
    #[arg(long = "user", value_name = "NAME|UID", value_delimiter = ',')]
    users: Vec<String>,

    /// Count only this process, or these processes
    #[arg(long = "pid", value_name = "PID", value_delimiter = ',')]
    pids: Vec<Pid>,

    /// With --pid: also count their descendants, present and future
    #[arg(long)]
    children: bool,

    /// Count only this program, or these programs
    #[arg(long = "program", value_name = "NAME", value_delimiter = ',')]
    programs: Vec<BaseName>,

    /// Count only this systemd unit or container, or these
    #[arg(long = "unit", value_name = "NAME", value_delimiter = ',')]
    units: Vec<BaseName>,

    /// With --user and --unit: wait for users and units that do not exist yet, as for those in the configuration file
    #[arg(long)]
    later: bool,
}

impl From<OnlyArgs> for Only {
    fn from(args: OnlyArgs) -> Self {
        let OnlyArgs { users, pids, children, programs, units, later } = args;
        Self { users, pids, children, programs, units, later_users: later, later_units: later }
    }
}

impl From<RunArgs> for Overrides {
    fn from(args: RunArgs) -> Self {
        let RunArgs {
            config,
            backend,
            attach,
            method,
            interval,
            duration,
            log,
            format,
            book,
            status_socket,
            reports_socket,
            keep,
            loopback,
            by,
            owner,
            only,
        } = args;
        let only = only.into();
        Self {
            config,
            backend,
            attach,
            method,
            interval,
            duration,
            log,
            format,
            book,
            status_socket,
            reports_socket,
            keep,
            loopback,
            by,
            owner,
            only,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn of_a_filter_given_twice_both_count() {
        let words =
            ["trafcalc", "run", "--user=a", "--pid", "7", "--user", "b,c", "--program=c", "--unit=d", "--children"];
        let Ok(Cli { command: Command::Run(args) }) = Cli::try_parse_from(words) else { panic!("was refused") };
        let only = Overrides::from(*args).only;
        assert_eq!(only.users, ["a", "b", "c"]);
        assert_eq!(only.pids.iter().map(|pid| pid.get()).collect::<Vec<_>>(), [7]);
        assert!(only.children);
    }

    /// For all commands, so that none takes as one name what another takes as two.
    #[test]
    fn every_option_that_is_a_list_is_split_at_commas() {
        fn lists(command: &clap::Command, found: &mut Vec<String>) {
            for arg in command.get_opts().filter(|arg| matches!(arg.get_action(), clap::ArgAction::Append)) {
                let name = format!("{} {}", command.get_name(), arg.get_id());
                assert_eq!(arg.get_value_delimiter(), Some(','), "{name}");
                found.push(name);
            }
            command.get_subcommands().for_each(|command| lists(command, found));
        }
        let mut found = Vec::new();
        lists(&<Cli as clap::CommandFactory>::command(), &mut found);
        for name in ["run users", "run units", "report users", "report units", "report programs", "report classes"] {
            assert!(found.iter().any(|list| list == name), "{name} is not in {found:?}");
        }
    }

    #[test]
    fn what_accounts_are_told_apart_by_is_a_list() {
        for words in [&["--by=unit,program"][..], &["--by", "unit", "--by", "program"]] {
            let words = ["trafcalc", "run"].iter().chain(words);
            let Ok(Cli { command: Command::Run(args) }) = Cli::try_parse_from(words) else { panic!("was refused") };
            assert_eq!(Overrides::from(*args).by, [Dimension::Unit, Dimension::Program]);
        }
        for by in ["--by=", "--by=unit,", "--by=unit,colour"] {
            assert!(Cli::try_parse_from(["trafcalc", "run", by]).is_err(), "{by}");
        }
    }

    #[test]
    fn the_status_can_be_told_nowhere() {
        let words = ["trafcalc", "run", "--status-socket", ""];
        let Ok(Cli { command: Command::Run(args) }) = Cli::try_parse_from(words) else { panic!("was refused") };
        assert_eq!(Overrides::from(*args).status_socket, Some(PathBuf::new()));
    }

    #[test]
    fn of_an_option_given_twice_the_last_one_counts() {
        let words = ["trafcalc", "run", "--interval", "1s", "--log", "-", "--interval=5s", "--log", "/a"];
        let Ok(Cli { command: Command::Run(args) }) = Cli::try_parse_from(words) else { panic!("was refused") };
        let overrides = Overrides::from(*args);
        assert_eq!(overrides.interval, "5s".parse().ok());
        assert_eq!(overrides.log, Some("/a".into()));
    }
}
