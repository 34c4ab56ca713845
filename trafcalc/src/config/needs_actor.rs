//! The options that depend on which process acts, which a sweep cannot see.

use std::fmt;

use super::{Only, Overrides};
use crate::capture::{By, CreditTo};

/// An option, or its key in the file, that depends on which process sends or receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedsActor {
    /// `--by` with more than the user
    By(By),
    /// `--owner acting`
    Owner,
    /// `--pid`
    Pid,
    /// `--program`
    Program,
    /// `--unit`
    Unit,
}

impl NeedsActor {
    /// The first such option that is set, if any.
    pub(super) fn of(by: By, credit_to: CreditTo, only: &Only) -> Option<Self> {
        let set = [
            (by != By::USER, Self::By(by)),
            (credit_to == CreditTo::Acting, Self::Owner),
            (!only.pids.is_empty(), Self::Pid),
            (!only.programs.is_empty(), Self::Program),
            (!only.units.is_empty(), Self::Unit),
        ];
        set.into_iter().find(|(is_set, _)| *is_set).map(|(_, option)| option)
    }

    /// Whether it comes from the command line.
    pub(super) const fn is_typed(self, overrides: &Overrides) -> bool {
        match self {
            Self::By(_) => !overrides.by.is_empty(),
            Self::Owner => overrides.owner.is_some(),
            Self::Pid => !overrides.only.pids.is_empty(),
            Self::Program => !overrides.only.programs.is_empty(),
            Self::Unit => !overrides.only.units.is_empty(),
        }
    }
}

impl fmt::Display for NeedsActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(by) => write!(f, "--by {by}"),
            Self::Owner => f.write_str("--owner acting"),
            Self::Pid => f.write_str("--pid"),
            Self::Program => f.write_str("--program"),
            Self::Unit => f.write_str("--unit"),
        }
    }
}
