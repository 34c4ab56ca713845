//! trafcalc counts the TCP payload that each user of this host sent and received, to the byte.
//!
//! Data flows one way: [`capture`] -> `Batch` -> [`ledger`] -> `Snapshot` (with [`identity`]) -> [`report`] ->
//! [`sinks`]. Only [`daemon`] knows them all. ARCHITECTURE.md is the map.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use config::{Overrides, Settings};
use identity::directory::Answer;
use service::exit::Exit;

pub mod alert;
pub mod answer;
pub mod book;
pub mod capture;
pub mod check;
pub mod cli;
pub mod command;
pub mod config;
mod container;
pub mod daemon;
pub mod exporter;
mod figure;
pub mod history;
mod host;
pub mod identity;
pub mod ledger;
pub mod live;
mod lock;
mod near;
pub mod records;
pub mod report;
pub mod selftest;
pub mod service;
pub mod ship;
pub mod sinks;
mod state_file;
pub mod status;

/// The program: does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    // What started this process may have blocked some. Threads have what this one has when they begin.
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
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
        cli::Command::Status(args) => show_status(&args),
        cli::Command::Top(args) => show_top(&args),
        cli::Command::Report(args) => show_report(&(*args).into()),
        cli::Command::Check(args) => check(args.file()),
        cli::Command::Correct(args) => tell(history::correct(&args.into(), caller(), jiff::Timestamp::now())),
        cli::Command::Close(args) => {
            let (book, month) = args.into();
            tell(history::close(&book, month, caller(), jiff::Timestamp::now()))
        }
        cli::Command::History(args) => care(args.what),
        cli::Command::Quota(args) => show_quota(&args.into()),
        cli::Command::Alert(args) => run_alert(&args.into()),
        cli::Command::Exporter(args) => run_exporter(args.into()),
        cli::Command::Ship(args) => run_ship(&args.into()),
        cli::Command::Release(args) => release(&args.folder),
        cli::Command::Store => store(),
        cli::Command::Documents(args) => document(&args),
        cli::Command::Selftest(args) => run_selftest(&args),
        cli::Command::SelftestTraffic(args) => selftest::traffic_main(&args.into()),
    }
}

fn check(file: Option<PathBuf>) -> Exit {
    match check::check(file) {
        Ok(text) => print(&figure::printable_lines(&text), Exit::Done),
        Err(error) => complain(&error, if error.is_usage() { Exit::Usage } else { Exit::Config }),
    }
}

fn release(folder: &Path) -> Exit {
    if !folder.is_dir() {
        return complain(&service::keep::KeepError::Nothing(folder.to_owned()), Exit::Unavailable);
    }
    let released = service::keep::Keeper::to_release(folder).map(|_keeper| capture::release(folder));
    match released {
        Ok(Ok(())) => Exit::Done,
        Ok(Err(error)) => complain(&error, Exit::Unavailable),
        Err(error) => complain(&error, Exit::Unavailable),
    }
}

fn store() -> Exit {
    service::keep::store().map_or_else(|error| complain(&error, Exit::Unavailable), |()| Exit::Done)
}

fn document(args: &cli::documents::DocumentsArgs) -> Exit {
    let Err(error) = cli::documents::write(args) else { return Exit::Done };
    let _ = writeln!(std::io::stderr(), "trafcalc: {}: cannot be written: {error}", args.folder.display());
    Exit::OutputLost
}

/// The socket that is named, or that of the configuration. Who names it need not be allowed to read the configuration.
fn socket(
    named: Option<&PathBuf>,
    config: Option<&Path>,
    of: impl FnOnce(config::SocketPaths) -> Option<PathBuf>,
    what: &'static str,
) -> Result<PathBuf, Exit> {
    if let Some(path) = named {
        return Ok(path.clone());
    }
    let configured = config::sockets(config).map_err(|error| complain(&error, Exit::Config))?;
    of(configured).ok_or_else(|| {
        let error = status::AskError::NoSocket(what);
        complain(&error, error.exit())
    })
}

fn show_status(args: &cli::StatusArgs) -> Exit {
    let is_json = args.json;
    let path = match socket(args.socket.as_ref(), args.config.as_deref(), |paths| paths.status, "status") {
        Ok(path) => path,
        Err(exit) => return exit,
    };
    match status::ask(&path) {
        Ok((text, told)) => {
            let shown = if is_json { text } else { status::table(&told) };
            print(&shown, if told.problems().is_empty() { Exit::Done } else { Exit::Heed })
        }
        Err(error) => complain(&error, error.exit()),
    }
}

fn show_top(args: &cli::TopArgs) -> Exit {
    let socket = match socket(args.socket.as_ref(), args.config.as_deref(), |paths| paths.reports, "reports") {
        Ok(socket) => socket,
        Err(exit) => return exit,
    };
    let request = live::Request { socket, is_once: args.once, is_json: args.json, is_bits: args.bits };
    live::top(&request).map_or_else(|error| complain(&error, error.exit()), |()| Exit::Done)
}

fn show_report(request: &answer::Request) -> Exit {
    match answer::answer(request, &find_user, jiff::Timestamp::now()) {
        Ok(shown) => {
            let drawing = request.drawing.as_deref().zip(shown.drawing);
            let drawn = drawing.map_or(Ok(()), |(path, drawing)| draw(path, &drawing));
            print(&shown.text, drawn.map_or_else(|exit| exit, |()| Exit::Done))
        }
        Err(error) => complain(&error, error.exit()),
    }
}

/// Who has a name or number on this host.
fn find_user(text: &str) -> answer::Found {
    let asked = match text.parse() {
        Ok(uid) => identity::directory::name(uid).map(|_| uid),
        Err(_) => identity::directory::uid(text),
    };
    match asked {
        Answer::Known(uid) => answer::Found::User(uid),
        Answer::NoSuchUser => answer::Found::Nobody,
        Answer::Unclear(errno) | Answer::Failed(errno) => answer::Found::Unclear(errno.desc().to_owned()),
    }
}

fn draw(path: &Path, drawing: &str) -> Result<(), Exit> {
    std::fs::write(path, drawing).map_err(|error| {
        let _ = writeln!(std::io::stderr(), "trafcalc: {}: the drawing cannot be written: {error}", path.display());
        Exit::OutputLost
    })
}

fn show_quota(request: &answer::QuotaRequest) -> Exit {
    let members = identity::groups::Directory::new(identity::directory::gid, identity::directory::groups);
    let answer = answer::quotas(request, &members, jiff::Timestamp::now());
    for name in members.unanswered() {
        let _ = writeln!(
            std::io::stderr(),
            "trafcalc: the directory of users gave no answer for {name:?}: quotas of groups may have used more"
        );
    }
    match answer {
        Ok((shown, is_passed)) => print(&shown, if is_passed { Exit::Heed } else { Exit::Done }),
        Err(error) => complain(&error, error.exit()),
    }
}

fn run_alert(request: &alert::Request) -> Exit {
    let messages = service::logging::start();
    let end = alert::run(request);
    drop(messages);
    end.map_or_else(|error| complain(&error, error.exit()), |()| Exit::Done)
}

fn run_ship(request: &ship::Request) -> Exit {
    let messages = service::logging::start();
    let end = ship::run(request);
    drop(messages);
    end.map_or_else(|error| complain(&error, error.exit()), |()| Exit::Done)
}

fn run_exporter(request: exporter::Request) -> Exit {
    let messages = service::logging::start();
    let members = |names| -> std::sync::Arc<dyn book::GroupMembers> {
        std::sync::Arc::new(identity::groups::Groups::start(
            names,
            identity::directory::gid,
            identity::directory::groups,
        ))
    };
    let Err(error) = exporter::run(request, members);
    drop(messages);
    complain(&error, error.exit())
}

fn care(what: cli::HistoryCommand) -> Exit {
    match what {
        cli::HistoryCommand::Check(args) => match history::check(&args.into()) {
            Ok((told, is_well)) => {
                print(&figure::printable_lines(&told), if is_well { Exit::Done } else { Exit::Heed })
            }
            Err(error) => complain(&error, error.exit()),
        },
        cli::HistoryCommand::Backup(args) => {
            let (book, file) = args.into();
            tell(history::backup(&book, &file))
        }
        cli::HistoryCommand::Export(args) => {
            let (after, format) = (args.after, args.format);
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            match history::export(&args.book(), after, format, &mut out) {
                // Who has closed the other end wants no more of it.
                Err(history::HistoryError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
                    // Nor what is left.
                    drop(out.into_parts());
                    Exit::Done
                }
                Err(error) => complain(&error, error.exit()),
                Ok(()) => Exit::Done,
            }
        }
        cli::HistoryCommand::ImportLog(args) => {
            let (book, file) = args.into();
            tell(history::import_log(&book, &file, caller(), jiff::Timestamp::now()))
        }
    }
}

fn tell(told: Result<String, history::HistoryError>) -> Exit {
    match told {
        Ok(told) => print(&figure::printable_lines(&told), Exit::Done),
        Err(error) => complain(&error, error.exit()),
    }
}

/// Who acts, by number.
fn caller() -> u32 {
    nix::unistd::getuid().as_raw()
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
    config::warn_of_quotas(settings);
    let end = daemon::run(settings);
    // Messages come before the reason of the end.
    drop(messages);
    match end {
        Ok(()) => Exit::Done,
        Err(failure) => complain(&failure, failure.exit()),
    }
}

/// Says why nothing was done. Errors may have names of users, units or files in them, which are theirs to choose.
fn complain(error: &dyn std::error::Error, exit: Exit) -> Exit {
    // The exit code is left to tell it where even that fails.
    let said = figure::printable_lines(&error.to_string());
    service::last_words::say(format!("trafcalc: {said}\n").into_bytes());
    exit
}
