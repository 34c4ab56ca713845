//! `trafcalc correct`: records that a user's day was counted wrongly, and why. Measured figures stay as they are.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{BookOf, HistoryError};
use crate::answer::{AnswerError, Day, Only};
use crate::book::{AccountKey, AccountKind, Change, Editor, NewCorrection, Reader, date_of};
use crate::figure::printable;

/// Longest reason, in characters.
const MAX_REASON: usize = 1_000;

/// Means what was counted without a class, as in answers by class.
const NO_CLASS: &str = "-";

/// A correction, as it was typed.
#[derive(Clone, Debug)]
pub struct Correct {
    /// The book.
    pub book: BookOf,
    /// Name or number.
    pub user: String,
    /// The class of networks, or `-` for traffic without one; `None` if not given.
    pub class: Option<String>,
    /// The day.
    pub day: Day,
    /// By how much.
    pub change: Change,
    /// Why.
    pub reason: String,
}

/// Records it; returns the text for the user.
pub fn correct(asked: &Correct, by_uid: u32, now: Timestamp) -> Result<String, HistoryError> {
    let Correct { book, user, class, day, change, reason } = asked;
    if *change == Change::default() {
        return Err(HistoryError::NoChange);
    }
    if !(1..=MAX_REASON).contains(&reason.trim().chars().count()) {
        return Err(HistoryError::Reason(MAX_REASON));
    }
    let path = book.path()?;
    let (account, date) = {
        let reader = Reader::open(&path)?;
        let today = date_of(now.as_second(), &reader.contents()?.zone().ok_or(HistoryError::NoZone)?);
        let date = day.date(today);
        if date > today {
            return Err(HistoryError::Future(date));
        }
        let accounts = reader.accounts()?;
        let class = class_of(&reader, &accounts, class.as_deref(), date)?;
        (AccountKey { class, ..account(&accounts, user)? }, date)
    };
    let class = account.class.as_deref().map(|class| format!(" ({class})")).unwrap_or_default();
    let name = printable(&(account.user.clone().unwrap_or_else(|| user.clone()) + &class));
    let made = now.try_into().unwrap_or(std::time::SystemTime::UNIX_EPOCH);
    let new = NewCorrection { account, date, change: *change, reason: reason.trim().to_owned(), by_uid, made };
    let Some((number, booked)) = Editor::open(&path)?.correct(&new)? else {
        return Err(too_much(&Reader::open(&path)?, &new)?);
    };
    let mut told =
        format!("correction {number}: {name}, {date}: sent {:+}, received {:+} bytes\n", change.sent, change.received);
    if booked != date {
        let _ = writeln!(told, "the month of {date} is closed: it counts on {booked}");
    }
    Ok(told)
}

/// The class that is meant. It must be named if the day's traffic has classes: a correction without a class would
/// always be billed, and could make the billed figures negative.
fn class_of(
    reader: &Reader,
    accounts: &[(i64, AccountKey)],
    typed: Option<&str>,
    date: Date,
) -> Result<Option<Arc<str>>, HistoryError> {
    match typed {
        Some(NO_CLASS) => Ok(None),
        Some(class) => {
            let only = Only { classes: vec![class.to_owned()], ..Only::default() };
            only.check(accounts, &reader.configured_classes()?).map_err(AnswerError::from)?;
            Ok(Some(class.into()))
        }
        None => {
            let classes = reader.classes_of_day(date)?;
            if classes.is_empty() { Ok(None) } else { Err(HistoryError::NoClass { date, classes }) }
        }
    }
}

/// The account without unit and program of the one user with this name, or else this number.
fn account(accounts: &[(i64, AccountKey)], text: &str) -> Result<AccountKey, HistoryError> {
    let only = Only { users: vec![text.to_owned()], ..Only::default() };
    only.check(accounts, &[]).map_err(AnswerError::from)?;
    let users = accounts.iter().map(|(_, key)| key).filter(|key| key.kind == AccountKind::User);
    let whose: BTreeSet<_> = users.map(|key| (key.uid, key.user.clone())).collect();
    let by_name: Vec<_> = whose.iter().filter(|(_, user)| user.as_deref() == Some(text)).collect();
    let by_number: Vec<_> = whose.iter().filter(|(uid, _)| uid.is_some_and(|uid| text.parse() == Ok(uid))).collect();
    let found = if by_name.is_empty() { by_number } else { by_name };
    match &found[..] {
        [(uid, user)] => {
            let (uid, user, kind) = (*uid, user.clone(), AccountKind::User);
            Ok(AccountKey { kind, uid, user, program: None, unit: None, class: None })
        }
        several => {
            let said = |(uid, user): &&(Option<u32>, Option<String>)| match (uid, user) {
                (Some(uid), Some(user)) => format!("{user} ({uid})"),
                (Some(uid), None) => uid.to_string(),
                (None, user) => user.clone().unwrap_or_default(),
            };
            Err(HistoryError::Ambiguous { text: text.to_owned(), accounts: several.iter().map(said).collect() })
        }
    }
}

/// The error that more would be taken away than there is.
fn too_much(reader: &Reader, new: &NewCorrection) -> Result<HistoryError, HistoryError> {
    let NewCorrection { account, date, change, .. } = new;
    let counted = reader.of_day(account, *date)?;
    let is_sent = Change { received: 0, ..*change }.is_too_much(counted);
    let (what, counted, change) =
        if is_sent { ("sent", counted.sent, change.sent) } else { ("received", counted.received, change.received) };
    // Without a class, classes are mentioned only if the day has some.
    let class = match account.class.as_deref() {
        Some(class) => format!(" ({class})"),
        None if reader.classes_of_day(*date)?.is_empty() => String::new(),
        None => " (no class)".to_owned(),
    };
    let user = account.user.clone().unwrap_or_default() + &class;
    Ok(HistoryError::TooMuch { user, what, date: *date, counted, change: change.unsigned_abs() })
}
