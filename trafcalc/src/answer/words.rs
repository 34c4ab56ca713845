//! The words on the command line for the choices of an answer.

use super::{Dimension, Each};
use crate::config::Choice;

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON object.
    Json,
    /// RFC 4180.
    Csv,
}

impl Choice for Format {
    const ALL: &'static [Self] = &[Self::Table, Self::Json, Self::Csv];

    fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

impl Choice for Dimension {
    const ALL: &'static [Self] = &[Self::User, Self::Unit, Self::Program, Self::Class];

    fn word(self) -> &'static str {
        self.name()
    }
}

impl Choice for Each {
    const ALL: &'static [Self] = &[Self::Hour, Self::Day, Self::Month];

    fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}
