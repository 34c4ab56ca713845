//! Man pages and completions, generated from the definition of the options and from the shipped configuration file.
//!
//! The hidden command `documents` writes them for the package. The service itself never uses this module.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Cli;
use crate::config::{DEFAULT_BOOK, DEFAULT_FILE, DEFAULT_LOG, DEFAULT_REPORTS, DEFAULT_STATUS};
use crate::service::exit::Exit;

mod configuration;

/// The section of the manual for administration commands.
const SECTION: &str = "8";
/// The name of the manual at the top of each page.
const MANUAL: &str = "trafcalc";

/// The options of `documents`.
#[derive(Debug, Args)]
pub struct DocumentsArgs {
    /// The folder to write to; it is created if it does not exist
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    /// The date at the end of the man pages, as 2026-11-26
    #[arg(long, value_name = "DATE")]
    pub date: String,
}

/// Writes the pages to `man/` and the completions to `completions/` below the folder.
///
/// # Errors
/// A folder or a file cannot be written.
pub fn write(args: &DocumentsArgs) -> io::Result<()> {
    let (man, completions) = (args.folder.join("man"), args.folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let program = visible();
    let mut built = program.clone();
    built.build();
    write_page(&built, &man, &args.date)?;
    fs::write(man.join("trafcalc.toml.5"), configuration::page(&args.date))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut program.clone(), "trafcalc", &completions)?;
    }
    Ok(())
}

/// The program without its hidden commands, which completions would offer.
fn visible() -> clap::Command {
    let whole = Cli::command();
    let shown: Vec<_> = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    clap::Command::new("trafcalc")
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().cloned().unwrap_or_default())
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommands(shown)
}

/// The page of a command, and those of its subcommands.
fn write_page(command: &clap::Command, folder: &Path, date: &str) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        write_page(below, folder, date)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let source = concat!("trafcalc ", env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    Man::new(command.clone()).section(SECTION).date(date).source(source).manual(MANUAL).render(&mut page)?;
    let mut end = Roff::new();
    if name == "trafcalc" {
        files(&mut end);
    }
    exit_status(&mut end);
    see_also(&mut end, &name);
    end.to_writer(&mut page)?;
    fs::write(folder.join(format!("{name}.{SECTION}")), without_needless_breaks(&page))
}

/// Removes the line breaks that `clap_mangen` puts beside empty lines; mandoc warns of them.
fn without_needless_breaks(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page).replace(".br\n\n.br\n", ".sp\n");
    page.replace(".br\n\n", ".sp\n")
}

fn files(page: &mut Roff) {
    let files = [
        (DEFAULT_FILE, "Configuration; see trafcalc.toml(5). It is optional."),
        (DEFAULT_LOG, "The log, with a report for every interval."),
        (DEFAULT_BOOK, "The book, a database with the accounts of years."),
        (DEFAULT_STATUS, "The socket that trafcalc status connects to."),
        (DEFAULT_REPORTS, "The socket that trafcalc top connects to."),
    ];
    page.control("SH", ["FILES"]);
    terms(page, files.iter().map(|(path, what)| ((*path).to_owned(), *what)));
}

fn exit_status(page: &mut Roff) {
    let ends = [
        (Exit::Done, "Success."),
        (
            Exit::Heed,
            "Something needs attention: a quota is passed, the book is damaged, a closed month has changed, or the service has a problem.",
        ),
        (Exit::Usage, "The command line is wrong."),
        (Exit::Unavailable, "No backend could start or go on, no service answers, or there is no book."),
        (Exit::Bug, "A bug in trafcalc."),
        (Exit::OutputLost, "The answer or the last report could not be written."),
        (Exit::Privilege, "A privilege is missing."),
        (Exit::Config, "The configuration is wrong."),
    ];
    page.control("SH", ["EXIT STATUS"]);
    terms(page, ends.iter().map(|(exit, what)| ((*exit as u8).to_string(), *what)));
}

fn see_also(page: &mut Roff, name: &str) {
    let others = [("trafcalc", SECTION), ("trafcalc.toml", "5"), ("systemctl", "1")];
    let others = others.iter().filter(|(other, _)| *other != name);
    let names: Vec<_> = others.map(|(other, section)| format!("{other}({section})")).collect();
    page.control("SH", ["SEE ALSO"]).text([roman(names.join(", "))]);
}

/// A list of terms, each with its meaning.
fn terms<'a>(page: &mut Roff, terms: impl Iterator<Item = (String, &'a str)>) {
    for (term, meaning) in terms {
        page.control("TP", []).text([bold(term)]).text([roman(meaning)]);
    }
}
