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
    /// The configuration is wrong or unreadable, and more than the book's path is needed from it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The same if only the book's path is needed.
    #[error("{0}; --book PATH needs no configuration")]
    ConfigOfBook(ConfigError),
    /// `--billed` was given, but no class is excluded from billing.
    #[error(
        "--billed: the configuration has no [[class]] with billed = false, so all is billed; --config FILE names another"
    )]
    AllBilled,
    /// The service keeps no book.
    #[error("the configuration says that no book is kept; name one with --book PATH")]
    NoBookKept,
    /// The book does not exist.
    #[error(
        "there is no book {}: trafcalc run begins it; if the service keeps it elsewhere, name it with --book PATH or \
         the service's configuration with --config FILE",
        .0.display()
    )]
    Missing(PathBuf),
    /// This user may not read the book.
    #[error(
        "the book {} may not be read by this user: members of the service's group may (see its owner with ls -l)",
        .0.display()
    )]
    Forbidden(PathBuf),
    /// The book exists but cannot be used.
    #[error(transparent)]
    Book(BookError),
    /// The book has no such name.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The book has no such user, and the directory cannot say whether the user exists.
    #[error(
        "there is no user {text:?} in the book, and the directory cannot say who {text:?} is: {reason}{}",
        near::question(.near).map(|question| format!("; {question}")).unwrap_or_default()
    )]
    NoDirectory {
        /// What was asked for.
        text: String,
        /// Why the directory cannot say.
        reason: String,
        /// Similar names in the book.
        near: Vec<String>,
    },
    /// The book does not say in which zone its days are, or that zone is not known here.
    #[error("{}; name the zone that is meant with --zone, as in --zone Europe/Vienna", no_zone(.0.as_deref()))]
    NoZone(Option<String>),
    /// The end is not after the beginning.
    #[error("the period from {from} to {to} is empty; --to must be later than --from")]
    Empty {
        /// Its beginning.
        from: String,
        /// Its end.
        to: String,
    },
    /// An estimate was asked for a period that is over or has not begun.
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
    /// An estimate was asked for, but nothing has been counted yet.
    #[error("--estimate: nothing of the period from {from} to {to} is counted yet")]
    NothingCounted {
        /// Its beginning.
        from: String,
        /// Its end.
        to: String,
    },
    /// The rows that the answer needs were removed because of their age, or the book never had them.
    #[error("the book cannot answer from {from} to {to}: {needs}, and it has these only from {kept_from} on; {help}")]
    Removed {
        /// The beginning of the time without such rows.
        from: String,
        /// Its end.
        to: String,
        /// Which rows are needed, and why.
        needs: String,
        /// The time from which the book has such rows.
        kept_from: String,
        /// What to ask instead.
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
