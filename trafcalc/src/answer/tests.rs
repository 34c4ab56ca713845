use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use jiff::civil::Date;

use super::*;
use crate::book::{AccountKey, AccountKind, Book, Commit, Gap, Moved, Opening};
use crate::capture::Bytes;

mod doubts;
mod exact;
mod history;
mod hostile;
mod refused;
mod shown;
mod speed;

use history::*;

/// November by user.
fn question() -> Question {
    Question {
        by: vec![Dimension::User],
        asked: Asked::ThisMonth,
        each: None,
        only: Only::default(),
        top: None,
        billing_day: 1,
        zone: None,
        percentile: None,
        is_estimated: false,
    }
}

fn between(from: &str, to: &str) -> Asked {
    Asked::Between(from.parse().unwrap(), to.parse().unwrap())
}
