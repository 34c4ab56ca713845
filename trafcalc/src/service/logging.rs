//! The service's own messages, on standard error. Never a report: those go to the log.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

/// Says which messages are shown, as in `TRAFCALC_LOG=debug`.
pub const FILTER_VARIABLE: &str = "TRAFCALC_LOG";

/// The filter cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {FILTER_VARIABLE} is not a filter such as debug or trafcalc=trace: {0}")]
pub struct WrongFilter(#[from] ParseError);

/// Starts showing messages.
pub fn start() -> Result<(), WrongFilter> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(std::env::var(FILTER_VARIABLE).unwrap_or_default())?;
    let messages = tracing_subscriber::fmt()
        .with_env_filter(filter)
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
