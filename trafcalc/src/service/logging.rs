//! The service's own messages, on standard error. Never reports: those go to the log.

use std::io::IsTerminal;

pub use tracing_appender::non_blocking::WorkerGuard as Messages;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

/// Selects the messages that are shown, as in `TRAFCALC_LOG=debug` or `TRAFCALC_LOG=info,trafcalc::capture=debug`.
pub const FILTER_VARIABLE: &str = "TRAFCALC_LOG";

/// The level if the variable is not set, or is not a valid filter.
const DEFAULT_LEVEL: LevelFilter = LevelFilter::INFO;

/// The prefix of the targets of all our messages: the name of the crate.
const TARGET_PREFIX: &str = "trafcalc";

/// The variable is not a valid filter.
#[derive(Debug, thiserror::Error)]
enum FilterError {
    /// It breaks the syntax.
    #[error(transparent)]
    Syntax(#[from] ParseError),
    /// By the syntax it is a target, but no message has it, so nothing would be shown.
    #[error("{0:?} is neither a level (off, error, warn, info, debug, trace) nor a part of trafcalc")]
    UnknownWord(String),
}

/// Shows messages as long as the return value lives. A thread of its own writes them, so a stopped terminal or reader blocks nothing,
/// and messages that it never takes are dropped. An invalid filter causes a warning, and the default is used.
pub fn start() -> Messages {
    let text = std::env::var_os(FILTER_VARIABLE).unwrap_or_default();
    let text = text.to_string_lossy();
    let (filter, error) = match filter(&text) {
        Ok(filter) => (filter, None),
        Err(error) => (Targets::new().with_default(DEFAULT_LEVEL), Some(error)),
    };
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let messages = fmt::layer().with_writer(writer).with_target(false).with_ansi(std::io::stderr().is_terminal());
    if is_journal() {
        registry().with(filter).with(messages.without_time()).init();
    } else {
        registry().with(filter).with(messages).init();
    }
    if let Some(error) = error {
        tracing::warn!(
            "the environment variable {FILTER_VARIABLE} is {text:?}, which is no filter of messages: {error}; \
             {DEFAULT_LEVEL} is used"
        );
    }
    guard
}

/// Reads a filter in the syntax of tracing-subscriber's `Targets`, with or without spaces around commas.
fn filter(text: &str) -> Result<Targets, FilterError> {
    let directives: Vec<_> = text.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    if let Some(word) = directives.iter().find(|word| is_unknown(word)) {
        return Err(FilterError::UnknownWord((*word).to_owned()));
    }
    Ok(if directives.is_empty() { Targets::new().with_default(DEFAULT_LEVEL) } else { directives.join(",").parse()? })
}

/// Whether it is a single word, such as a misspelt level, that would be taken for a target.
fn is_unknown(directive: &str) -> bool {
    let is_word = directive.chars().all(|c| c.is_alphanumeric() || "_:-".contains(c));
    is_word && directive.parse::<LevelFilter>().is_err() && !directive.starts_with(TARGET_PREFIX)
}

/// Whether standard error goes to the journal, which notes the time itself.
fn is_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::Filter;

    use super::*;

    fn shown(text: &str) -> Option<LevelFilter> {
        let filter = filter(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        Filter::<Registry>::max_level_hint(&filter)
    }

    #[test]
    fn a_filter_is_a_level_or_has_targets() {
        assert_eq!(shown(""), Some(LevelFilter::INFO), "the default");
        assert_eq!(shown("debug"), Some(LevelFilter::DEBUG));
        assert_eq!(shown("WARN"), Some(LevelFilter::WARN));
        assert_eq!(shown("off"), Some(LevelFilter::OFF));
        assert_eq!(shown("trafcalc=debug, trafcalc_ebpf=trace"), Some(LevelFilter::TRACE));
        assert_eq!(shown("info,trafcalc::capture=debug"), Some(LevelFilter::DEBUG));
        assert_eq!(shown("trafcalc::capture"), Some(LevelFilter::TRACE));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["trafcalc=loud", "debug=trafcalc=info", "info,trafcalc=2000"] {
            assert!(matches!(filter(text), Err(FilterError::Syntax(_))), "{text:?}");
        }
        for (text, word) in [("debg", "debg"), ("info, debugg", "debugg"), ("tokio", "tokio")] {
            let error = filter(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{word:?} is neither a level")), "{error}");
        }
    }
}
