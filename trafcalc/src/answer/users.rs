//! Users who are asked for by a name or number that the book does not have: who they are, as the host's directory says. The directory may be a
//! server that is slow or away, so nothing is asked of it about users whom the book has. Pure.

use super::error::AnswerError;
use crate::book::{AccountKey, AccountKind};
use crate::near;

/// What the host's directory says of a name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The user of this number has it.
    User(u32),
    /// No user has it.
    Nobody,
    /// It cannot say, and why.
    Unclear(String),
}

/// A user of this host whom the book does not have by this name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostUser {
    /// What was asked for.
    pub text: String,
    /// The user's number.
    pub uid: u32,
}

/// Those of `users` whom the book does not have and the host does.
pub(super) fn of_host(
    users: &[String],
    accounts: &[(i64, AccountKey)],
    directory: &dyn Fn(&str) -> Found,
) -> Result<Vec<HostUser>, AnswerError> {
    let is_in_book = |text: &str| accounts.iter().any(|(_, key)| is_of(key, text));
    let mut known = Vec::new();
    for text in users.iter().filter(|text| !is_in_book(text)) {
        match directory(text) {
            Found::User(uid) => known.push(HostUser { text: text.clone(), uid }),
            Found::Nobody => {}
            Found::Unclear(reason) => {
                let near = near::near(text, accounts.iter().filter_map(|(_, key)| key.user.as_deref()));
                return Err(AnswerError::NoDirectory { text: text.clone(), reason, near });
            }
        }
    }
    Ok(known)
}

/// Whether an account is that of a user by name or number.
pub(super) fn is_of(key: &AccountKey, text: &str) -> bool {
    key.user.as_deref() == Some(text) || is_uid(key, text)
}

pub(super) fn is_uid(key: &AccountKey, text: &str) -> bool {
    key.uid.is_some_and(|uid| text.parse() == Ok(uid))
}

impl HostUser {
    /// Whether an account is this user's: the book has it by number and does not know the name yet. With another name it is of somebody who
    /// had the number before, or has it still.
    pub(super) fn has(&self, key: &AccountKey) -> bool {
        key.kind == AccountKind::User && key.uid == Some(self.uid) && key.user.is_none()
    }

    /// What must be known of an answer about this user.
    pub(super) fn sentence(&self, accounts: &[(i64, AccountKey)]) -> String {
        let Self { text, uid } = self;
        let of_uid = || accounts.iter().map(|(_, key)| key).filter(|key| key.uid == Some(*uid));
        let mut names: Vec<_> = of_uid().filter_map(|key| key.user.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        let others = format!("uid {uid} is in the book as {}", names.join(" and "));
        match (of_uid().any(|key| self.has(key)), names.is_empty()) {
            (true, true) => format!("{text} is in the book as uid {uid}, without a name."),
            (true, false) => format!("{text} is in the book as uid {uid}, without a name; what {others} is left out."),
            (false, true) => format!("{text} has no traffic in this book."),
            (false, false) => format!("{text} has no traffic by this name: {others}."),
        }
    }
}
