//! trafcalc counts the TCP payload that each user of this host sent and received, to the byte.
//!
//! Data flows one way: [`capture`] -> `Batch` -> [`ledger`] -> `Snapshot` (with [`identity`]) -> [`report`] ->
//! [`sinks`]. Only [`daemon`] knows them all. ARCHITECTURE.md is the map.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use config::{Overrides, Settings};
use service::exit::Exit;

pub mod answer;
pub mod book;
pub mod capture;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod identity;
pub mod ledger;
mod lock;
pub mod report;
pub mod selftest;
pub mod service;
pub mod sinks;
pub mod status;

/// The program: does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    match cli::parse() {
        Ok(cli) => {
            // The panic has told its message; what is left is to say that it is a bug.
            std::panic::catch_unwind(|| obey(cli.command)).unwrap_or(Exit::Bug).into()
        }
        Err(complaint) => {
            complaint.print();
            if complaint.is_error() { Exit::Usage.into() } else { Exit::Done.into() }
        }
    }
}

fn obey(command: cli::Command) -> Exit {
    match command {
        cli::Command::Run(args) => run(&(*args).into()),
        cli::Command::Status(args) => show_status(args),
        cli::Command::Report(args) => show_report(&(*args).into()),
        cli::Command::Release(args) => release(&args.folder),
        cli::Command::Store => store(),
        cli::Command::Selftest(args) => run_selftest(&args),
        cli::Command::SelftestTraffic(args) => selftest::traffic_main(&args.into()),
    }
}

fn release(folder: &Path) -> Exit {
    if !folder.is_dir() {
        return complain(&service::keep::KeepError::Nothing(folder.to_owned()), Exit::Unavailable);
    }
    let released = service::keep::Keeper::in_folder(folder).map(|_keeper| capture::release(folder));
    match released {
        Ok(Ok(())) => Exit::Done,
        Ok(Err(error)) => complain(&error, Exit::Unavailable),
        Err(error) => complain(&error, Exit::Unavailable),
    }
}

fn store() -> Exit {
    service::keep::store().map_or_else(|error| complain(&error, Exit::Unavailable), |()| Exit::Done)
}

fn show_status(args: cli::StatusArgs) -> Exit {
    let is_json = args.json;
    // Who names the socket need not be allowed to read the configuration.
    let path = match &args.status_socket {
        Some(path) => Some(path.clone()),
        None => match config::resolve(&args.into()) {
            Ok(settings) => settings.status,
            Err(error) => return complain(&error, Exit::Config),
        },
    };
    match path.ok_or(status::AskError::NoSocket).and_then(|path| status::ask(&path)) {
        Ok((text, value)) => {
            let shown = if is_json { text } else { status::table(&value) };
            print(&shown, Exit::Done)
        }
        Err(error) => complain(&error, error.exit()),
    }
}

fn show_report(request: &answer::Request) -> Exit {
    match answer::answer(request, jiff::Timestamp::now()) {
        Ok(shown) => print(&shown, Exit::Done),
        Err(error) => complain(&error, error.exit()),
    }
}

fn run_selftest(args: &cli::SelftestArgs) -> Exit {
    let _messages = service::logging::start();
    let settings = match config::for_selftest(args.backend, args.attach, args.method) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, Exit::Usage),
    };
    let format = if args.json { selftest::Format::Json } else { selftest::Format::Table };
    match selftest::run(&settings, format) {
        Ok((verdict, exit)) => print(&verdict, exit),
        Err(error) => complain(&error, error.exit()),
    }
}

/// Prints what was asked for; who has closed the other end of standard output wants no more of it.
fn print(text: &str, exit: Exit) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "trafcalc: standard output cannot be written: {error}");
            // A wrong count is the worse news.
            if exit == Exit::Done { Exit::OutputLost } else { exit }
        }
        _ => exit,
    }
}

fn run(overrides: &Overrides) -> Exit {
    let messages = service::logging::start();
    match config::resolve(overrides) {
        Ok(settings) => run_daemon(&settings, messages),
        Err(error) => complain(&error, if error.is_usage() { Exit::Usage } else { Exit::Config }),
    }
}

fn run_daemon(settings: &Settings, messages: service::logging::Messages) -> Exit {
    config::warn_of_test_knobs(settings);
    let end = daemon::run(settings);
    // Messages come before the reason of the end.
    drop(messages);
    match end {
        Ok(()) => Exit::Done,
        Err(failure) => complain(&failure, failure.exit()),
    }
}

fn complain(error: &dyn std::error::Error, exit: Exit) -> Exit {
    // The exit code is left to tell it where even that fails.
    service::last_words::say(format!("trafcalc: {error}\n").into_bytes());
    exit
}
