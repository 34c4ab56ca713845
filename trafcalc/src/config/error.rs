//! Why there are no settings.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::NeedsActor;
use crate::capture::{Attach, Dimension, Method};

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that is wrong.
    #[error("{}:{line}: {}{message}", file.display(), key_prefix(key))]
    Wrong {
        /// Which file.
        file: PathBuf,
        /// The line, counted from 1.
        line: NonZeroUsize,
        /// The key with its tables, joined by dots; empty where the text is not TOML.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// `--attach` without the only backend it is for.
    #[error("--attach {} is for the ebpf backend, but the backend is packet", .0.name())]
    AttachWithoutEbpf(Attach),
    /// `--method` without the only backend it is for.
    #[error("--method {} is for the ebpf backend, but the backend is packet", .0.name())]
    MethodWithoutEbpf(Method),
    /// The method `sweep` with something that depends on who acts.
    #[error(
        "--method sweep cannot be used with {needs_actor}: a sweep reads connections before each report and does not see \
         which process sends or receives; use --method events or auto"
    )]
    SweepWithoutActor {
        /// What depends on who acts.
        needs_actor: NeedsActor,
        /// Whether one of the two is an option of the command line, and not both written in the file.
        is_usage: bool,
    },
    /// The owner `acting` with the backend that cannot.
    #[error("--owner acting is for the ebpf backend, but the backend is packet, which sees no processes act")]
    ActingWithoutEbpf {
        /// Whether one of the two is an option of the command line, and not both written in the file.
        is_usage: bool,
    },
    /// `--by` names something twice.
    #[error("--by has {} twice", .0.name())]
    RepeatedBy(Dimension),
    /// `--children` of nobody.
    #[error("--children is for the processes that --pid names, but there is none")]
    ChildrenOfNobody,
    /// A variable for tests has a value it cannot have.
    #[error("the environment variable {name} must be a number from 0 to {max}")]
    TestKnob {
        /// Its name.
        name: &'static str,
        /// The largest value.
        max: u64,
    },
}

fn key_prefix(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}

impl ConfigError {
    /// Whether the fault is in how the program was called, not in a file.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::AttachWithoutEbpf(_)
                | Self::MethodWithoutEbpf(_)
                | Self::SweepWithoutActor { is_usage: true, .. }
                | Self::ActingWithoutEbpf { is_usage: true }
                | Self::RepeatedBy(_)
                | Self::ChildrenOfNobody
                | Self::TestKnob { .. }
        )
    }
}
