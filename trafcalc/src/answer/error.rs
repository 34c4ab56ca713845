//! Why there is no answer.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::whose::Unknown;
use crate::book::{BookError, Trouble};
use crate::config::ConfigError;
use crate::near;
use crate::service::exit::Exit;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The configuration is wrong or may not be read, and says more than where the book is.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The same where it is asked for the place of the book alone.
    #[error("{0}; --book PATH needs no configuration")]
    ConfigOfBook(ConfigError),
    /// What is not billed is to be left out, and there is nothing of that kind.
    #[error(
        "--billed: the configuration has no [[class]] with billed = false, so all is billed; --config FILE names another"
    )]
    AllBilled,
    /// The service keeps no book.
    #[error("the configuration says that no book is kept; name one with --book PATH")]
    NoBookKept,
    /// There is no file.
    #[error(
        "there is no book {}: trafcalc run begins it; if the service keeps it elsewhere, name it with --book PATH or \
         the service's configuration with --config FILE",
        .0.display()
    )]
    Missing(PathBuf),
    /// The file may not be read.
    #[error(
        "the book {} may not be read by this user: members of the service's group may (see its owner with ls -l)",
        .0.display()
    )]
    Forbidden(PathBuf),
    /// The file is there and cannot be used.
    #[error(transparent)]
    Book(BookError),
    /// A name that is not in the book.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// A name that is not in the book, and of which the directory does not say whether it is a user's.
    #[error(
        "there is no user {text:?} in the book, and the directory cannot say who {text:?} is: {reason}{}",
        near::question(.near).map(|question| format!("; {question}")).unwrap_or_default()
    )]
    NoDirectory {
        /// What was asked for.
        text: String,
        /// Why it cannot.
        reason: String,
        /// Names in the book that may be meant.
        near: Vec<String>,
    },
    /// The book does not say in which zone its days are.
    #[error("{}; name the zone that is meant with --zone, as in --zone Europe/Vienna", no_zone(.0.as_deref()))]
    NoZone(Option<String>),
    /// The end is not behind the beginning.
    #[error("the period from {from} to {to} is empty; --to must be later than --from")]
    Empty {
        /// Its beginning.
        from: String,
        /// Its end.
        to: String,
    },
    /// An estimate of what is over, or has not begun.
    #[error(
        "--estimate is for a period that has begun and is not over, as this month or --day today, but this one is from \
         {from} to {to}"
    )]
    NotUnderWay {
        /// Its beginning.
        from: String,
        /// Its end.
        to: String,
    },
    /// An estimate from nothing.
    #[error("--estimate: nothing of the period from {from} to {to} is counted yet")]
    NothingCounted {
        /// Its beginning.
        from: String,
        /// Its end.
        to: String,
    },
    /// The rows that would tell are no longer in the book, or never were.
    #[error("the book cannot answer from {from} to {to}: {needs}, and it has these only from {kept_from} on; {help}")]
    Removed {
        /// What cannot be told begins here.
        from: String,
        /// And ends here.
        to: String,
        /// What rows are needed and why.
        needs: String,
        /// Where the first such rows are.
        kept_from: String,
        /// What can be asked instead.
        help: String,
    },
}

fn no_zone(name: Option<&str>) -> String {
    name.map_or_else(
        || {
            "the book does not name the time zone of its last service, which book.zone in the configuration does from then on"
                .to_owned()
        },
        |name| format!("the book is in the time zone {name:?}, which is not known here"),
    )
}

impl From<BookError> for AnswerError {
    fn from(error: BookError) -> Self {
        match error {
            BookError::File { path, source, .. } if source.kind() == ErrorKind::NotFound => Self::Missing(path),
            BookError::File { path, source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                Self::Forbidden(path)
            }
            error => Self::Book(error),
        }
    }
}

impl AnswerError {
    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unknown(_) | Self::Empty { .. } | Self::NotUnderWay { .. } => Exit::Usage,
            Self::Config(_) | Self::ConfigOfBook(_) | Self::NoBookKept | Self::AllBilled => Exit::Config,
            Self::Book(error) if error.trouble() == Trouble::NotOurs => Exit::Config,
            Self::Forbidden(_) | Self::Book(BookError::Unshared { .. }) => Exit::Privilege,
            Self::NoZone(_)
            | Self::NoDirectory { .. }
            | Self::Missing(_)
            | Self::Book(_)
            | Self::NothingCounted { .. }
            | Self::Removed { .. } => Exit::Unavailable,
        }
    }
}
