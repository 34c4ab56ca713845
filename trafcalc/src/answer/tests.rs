use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use jiff::civil::Date;

use super::*;
use crate::book::{AccountKey, AccountKind, Book, Commit, Gap, Moved, Opening};
use crate::capture::Bytes;

mod billing;
mod doubts;
mod drawn;
mod exact;
mod history;
mod hostile;
mod quota;
mod refused;
mod shown;
mod speed;
mod users;

use history::*;

/// November by user.
fn question() -> Question {
    Question {
        by: vec![Dimension::User],
        asked: Asked::Month(Month::This),
        each: None,
        only: Only::default(),
        top: None,
        billing_day: None,
        zone: None,
        percentile: None,
        is_estimated: false,
    }
}

fn between(from: &str, to: &str) -> Asked {
    Asked::Between(from.parse().unwrap(), to.parse().unwrap())
}
