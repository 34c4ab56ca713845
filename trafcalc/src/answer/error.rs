//! Why there is no answer.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::whose::Unknown;
use crate::book::{BookError, Trouble};
use crate::config::ConfigError;
use crate::service::exit::Exit;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The configuration, which says where the book is, is wrong or may not be read.
    #[error("{0}; --book PATH needs no configuration")]
    Config(#[from] ConfigError),
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
    #[error("from {from} to {to} the book cannot tell: {needs}, and it has these from {kept_from} on only; {help}")]
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
            Self::Config(_) | Self::NoBookKept => Exit::Config,
            Self::Book(error) if error.trouble() == Trouble::NotOurs => Exit::Config,
            Self::Forbidden(_) | Self::Book(BookError::Unshared { .. }) => Exit::Privilege,
            Self::NoZone(_) | Self::Missing(_) | Self::Book(_) | Self::NothingCounted { .. } | Self::Removed { .. } => {
                Exit::Unavailable
            }
        }
    }
}
