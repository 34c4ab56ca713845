//! The service's own messages, on standard error. Never a report: those go to the log.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;

/// Says which messages are shown, as in `TRAFCALC_LOG=debug`.
pub const FILTER_VARIABLE: &str = "TRAFCALC_LOG";

/// The level cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {FILTER_VARIABLE} is {0:?}, and not one of off, error, warn, info, debug, trace")]
pub struct WrongLevel(String);

/// Starts showing messages.
pub fn start() -> Result<(), WrongLevel> {
    let word = std::env::var(FILTER_VARIABLE).unwrap_or_default();
    let level = if word.is_empty() { LevelFilter::INFO } else { word.parse().map_err(|_| WrongLevel(word))? };
    let messages = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    if is_journal() {
        messages.without_time().init();
    } else {
        messages.init();
    }
    Ok(())
}

/// Whether standard error goes to the journal, which notes the time itself.
fn is_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}
