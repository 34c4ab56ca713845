//! Errors in the configuration.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::NeedsActor;
use crate::capture::{Attach, Dimension, Method};

/// Why settings cannot be made.
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
    /// The file has an error.
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
    /// `--attach` was given with the packet backend, which has no attach modes.
    #[error("--attach {} is for the ebpf backend, but the backend is packet", .0.name())]
    AttachWithoutEbpf(Attach),
    /// `--method` was given with the packet backend, which has no methods.
    #[error("--method {} is for the ebpf backend, but the backend is packet", .0.name())]
    MethodWithoutEbpf(Method),
    /// The method `sweep` was chosen together with an option that depends on which process acts.
    #[error(
        "--method sweep cannot be used with {needs_actor}: a sweep reads connections before each report and does not see \
         which process sends or receives; use --method events or auto"
    )]
    SweepWithoutActor {
        /// That option.
        needs_actor: NeedsActor,
        /// Whether one of the two is on the command line, not both in the file.
        is_usage: bool,
    },
    /// The owner `acting` was chosen with the packet backend, which does not support it.
    #[error("--owner acting is for the ebpf backend, but the backend is packet, which sees no processes act")]
    ActingWithoutEbpf {
        /// Whether one of the two is on the command line, not both in the file.
        is_usage: bool,
    },
    /// `--by` names a dimension twice.
    #[error("--by has {} twice", .0.name())]
    RepeatedBy(Dimension),
    /// `--children` was given without `--pid`.
    #[error("--children is for the processes that --pid names, but there is none")]
    ChildrenOfNobody,
    /// An environment variable for tests has an invalid value.
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
    /// Whether the error is in the command line, not in a file.
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
